//! Sessions: what a registry wants to see, and getting it.

use std::sync::Arc;
use std::time::Instant;

use assemble_types::Event;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use url::Url;
use url::form_urlencoded::Serializer;

use crate::challenge::{self, BearerChallenge, Challenge};
use crate::conn::{Backoff, Conn, Trouble};
use crate::credentials::{Credential, Found};
use crate::error::RegistryError;
use crate::exchange::{Answer, Failure, Request, host_of};
use crate::location;
use crate::payload::Payload;
use crate::scope::scopes;
use crate::secret::{Secret, basic, bearer};
use crate::token::{ANSWER_LIMIT, Token};

/// How we call ourselves to token servers.
const CLIENT_ID: &str = "assemble";

/// What is known about how one registry wants to be talked to, for one repository and kind of access.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// The sources are asked once, at the first challenge.
    found: Option<Arc<Found>>,
    shown: Shown,
}

/// What goes into `Authorization`.
#[derive(Debug, Default, Clone)]
enum Shown {
    #[default]
    Nothing,
    Basic(Secret),
    Bearer(BearerChallenge, Token),
}

impl Shown {
    fn header(&self) -> Option<Secret> {
        match self {
            Self::Nothing => None,
            Self::Basic(secret) => Some(secret.clone()),
            Self::Bearer(_, token) => Some(bearer(&token.secret)),
        }
    }
}

/// The end of a call that has no answer to give.
#[derive(Debug)]
pub(crate) enum Stop {
    /// May pass.
    Failure(Failure),
    /// Will not.
    Fatal(RegistryError),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<RegistryError> for Stop {
    fn from(error: RegistryError) -> Self {
        Self::Fatal(error)
    }
}

impl Conn {
    /// Sends a request with what the registry wants to see; if that is refused, gets it anew and sends it once more.
    pub(crate) async fn send(&self, request: &Request) -> Result<Answer, Stop> {
        let home = &self.endpoint().base;
        let shown = self.authorization(request).await?;
        let answer = self.exchange(request, shown.as_ref(), home).await?;
        // A challenge from elsewhere never gets the registry's credentials.
        if answer.status != 401 || !location::same_authority(&answer.url, home) {
            return Ok(answer);
        }
        let headers = answer.headers.get_all("www-authenticate");
        let Some(challenge) = challenge::choose(headers.iter().filter_map(|value| value.to_str().ok()))
        else {
            return Ok(answer);
        };
        let Some(renewed) = self.renew(challenge, shown.as_ref(), request).await? else { return Ok(answer) };
        answer.drain(self.http().stall_timeout()).await;
        Ok(self.exchange(request, Some(&renewed), home).await?)
    }

    /// What to show with the next call; a token that ends soon is replaced first.
    async fn authorization(&self, request: &Request) -> Result<Option<Secret>, Stop> {
        let mut session = self.session().lock().await;
        if let Shown::Bearer(challenge, token) = &session.shown
            && !token.is_fresh(Instant::now())
        {
            let challenge = challenge.clone();
            let found = self.found(&mut session).await;
            let token = self.token(&challenge, found.credential.as_ref(), &found.tried, request).await?;
            session.shown = Shown::Bearer(challenge, token);
        }
        Ok(session.shown.header())
    }

    /// Answers a challenge. Nothing if there is nothing new to show. Whoever comes while another renews waits, and
    /// takes what that one got.
    async fn renew(
        &self,
        challenge: Challenge,
        refused: Option<&Secret>,
        request: &Request,
    ) -> Result<Option<Secret>, Stop> {
        let mut session = self.session().lock().await;
        let current = session.shown.header();
        if current.is_some() && current.as_ref() != refused {
            return Ok(current);
        }
        let found = self.found(&mut session).await;
        let credential = found.credential.as_ref();
        let shown = match (challenge, credential) {
            (_, Some(Credential::Registry(token))) => {
                Shown::Bearer(BearerChallenge::default(), Token::fixed(token.clone()))
            }
            (Challenge::Basic, Some(Credential::Basic { user, password })) => {
                Shown::Basic(basic(user, password))
            }
            (Challenge::Basic, Some(Credential::Identity { user, token })) => {
                Shown::Basic(basic(user, token))
            }
            (Challenge::Basic, None) => return Ok(None),
            (Challenge::Bearer(challenge), credential) => {
                let token = self.token(&challenge, credential, &found.tried, request).await?;
                Shown::Bearer(challenge, token)
            }
        };
        let header = shown.header();
        if header.as_ref() == refused {
            return Ok(None);
        }
        session.shown = shown;
        Ok(header)
    }

    async fn found(&self, session: &mut Session) -> Arc<Found> {
        if let Some(found) = &session.found {
            return Arc::clone(found);
        }
        let (sources, endpoint) = (self.sources(), self.endpoint().clone());
        let repository = self.repository().to_owned();
        // A helper may take its time.
        let asked = tokio::task::spawn_blocking(move || sources.find(&endpoint, &repository)).await;
        let found = Arc::new(asked.unwrap_or_default());
        for broken in &found.broken {
            self.observer().event(Event::Warning(format!("credentials are not read from {broken}")));
        }
        session.found = Some(Arc::clone(&found));
        found
    }

    /// The sources that were asked so far, for an error.
    pub(crate) async fn tried(&self) -> Vec<String> {
        self.session().lock().await.found.as_ref().map(|found| found.tried.clone()).unwrap_or_default()
    }

    /// Gets a token, by GET; an identity token goes by POST first, which not all servers have.
    async fn token(
        &self,
        challenge: &BearerChallenge,
        credential: Option<&Credential>,
        tried: &[String],
        request: &Request,
    ) -> Result<Token, Stop> {
        let base = &self.endpoint().base;
        let realm = location::realm(base, &challenge.realm).map_err(|source| RegistryError::Address {
            place: self.place(&request.action),
            to: Url::parse(&challenge.realm).map(|url| crate::exchange::shown(&url)).unwrap_or_default(),
            source,
        })?;
        let all = scopes(self.repository(), self.access(), &challenge.scopes);
        let ask =
            Ask { conn: self, realm, service: challenge.service.as_deref(), tried, action: &request.action };
        if let Some(Credential::Identity { token, .. }) = credential
            && let Some(token) = ask.post(token, &all).await?
        {
            return Ok(token);
        }
        let pair = match credential {
            Some(Credential::Basic { user, password }) => Some((user.as_str(), password)),
            Some(Credential::Identity { user, token }) => Some((user.as_str(), token)),
            Some(Credential::Registry(_)) | None => None,
        };
        match ask.get(pair, &all).await {
            // Perhaps it was one of the scopes that the registry added.
            Err(Stop::Fatal(RegistryError::Denied { .. })) if all.len() > 1 => ask.get(pair, &all[..1]).await,
            result => result,
        }
    }
}

/// One question to a token server.
struct Ask<'a> {
    conn: &'a Conn,
    realm: Url,
    service: Option<&'a str>,
    tried: &'a [String],
    action: &'a str,
}

impl Ask<'_> {
    async fn get(&self, pair: Option<(&str, &Secret)>, scopes: &[String]) -> Result<Token, Stop> {
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = self.service {
                query.append_pair("service", service);
            }
            for scope in scopes {
                query.append_pair("scope", scope);
            }
            if let Some((user, _)) = pair {
                query.append_pair("account", user);
            }
        }
        if url.query() == Some("") {
            url.set_query(None);
        }
        let request = Request::new(Method::GET, url, self.action).header(ACCEPT, "application/json");
        let authorization = pair.map(|(user, password)| basic(user, password));
        let answer = self.call(&request, authorization.as_ref()).await?;
        match answer.status {
            200..=299 => self.read(answer).await,
            _ => Err(self.conn.refuse(self.action, answer, 1, Some(self.tried)).await.into()),
        }
    }

    /// Nothing if the server does not do it, or does not like this token: then GET has to say so.
    async fn post(&self, identity: &Secret, scopes: &[String]) -> Result<Option<Token>, Stop> {
        let body: Arc<[u8]> = self.form(identity, scopes).into_bytes().into();
        let request = Request::new(Method::POST, self.realm.clone(), self.action)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(Payload::Bytes(body));
        let answer = self.call(&request, None).await?;
        if matches!(answer.status, 200..=299) {
            return self.read(answer).await.map(Some);
        }
        answer.drain(self.conn.http().stall_timeout()).await;
        Ok(None)
    }

    fn form(&self, identity: &Secret, scopes: &[String]) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", identity.expose())
            .append_pair("client_id", CLIENT_ID)
            .append_pair("access_type", "offline");
        if let Some(service) = self.service {
            form.append_pair("service", service);
        }
        if !scopes.is_empty() {
            form.append_pair("scope", &scopes.join(" "));
        }
        form.finish()
    }

    async fn call(&self, request: &Request, authorization: Option<&Secret>) -> Result<Answer, Stop> {
        let mut backoff = Backoff::new(self.conn);
        loop {
            let trouble = match self.conn.exchange_token(request, authorization, &self.realm).await {
                Ok(answer) => match backoff.judge(answer).await {
                    Ok(answer) => return Ok(answer),
                    Err(trouble) => trouble,
                },
                Err(failure) => Trouble::Failure(failure),
            };
            backoff.wait(self.action, trouble).await?;
        }
    }

    async fn read(&self, answer: Answer) -> Result<Token, Stop> {
        let host = host_of(&answer.url);
        let stall = self.conn.http().stall_timeout();
        let now = Instant::now();
        let (bytes, _) = answer.read(ANSWER_LIMIT + 1, stall).await?;
        Token::parse(&bytes, now).map_err(|why| {
            let place = self.conn.place(self.action);
            RegistryError::Token { place, host, why }.into()
        })
    }
}

impl Conn {
    /// As [`Conn::exchange`], for token servers: a body holds a secret and goes nowhere but to the realm.
    async fn exchange_token(
        &self,
        request: &Request,
        authorization: Option<&Secret>,
        realm: &Url,
    ) -> Result<Answer, Failure> {
        if matches!(request.body, Payload::Empty) {
            self.exchange(request, authorization, realm).await
        } else {
            self.exchange_here(request).await
        }
    }
}
