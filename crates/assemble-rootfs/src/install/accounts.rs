//! `/etc/passwd`, the homes of all accounts in it, and the user that the image runs as.

use assemble_types::{ImagePath, Owner};

use super::error::InstallError;
use super::root::{Root, split};
use super::text::{MAX_LINE, lines, trim};
use crate::shown::shown;

const FOR: &str = "the accounts";
const PASSWD: &[u8] = b"etc/passwd";
const LIMIT: u64 = 16 << 20;

struct Account {
    fields: [Vec<u8>; 7],
    uid: u32,
    gid: u32,
}

/// Reads or creates the file, writes it again line by line, and makes the homes that are missing. A `run-as` that is
/// the name of an account becomes its number; anything else stays as it is.
pub(super) fn apply(root: &mut Root, run_as: &str) -> Result<String, InstallError> {
    root.file(PASSWD, 0o644, FOR)?;
    let text = root.read(PASSWD, LIMIT, FOR)?.unwrap_or_default();
    let accounts = parse(&text)?;
    for account in &accounts {
        make_home(root, account)?;
    }
    root.write(PASSWD, accounts.iter().flat_map(Account::line).collect(), 0o644, FOR)?;
    let found = accounts.iter().find(|account| !run_as.is_empty() && account.fields[0] == run_as.as_bytes());
    Ok(found.map_or_else(|| run_as.to_owned(), |account| account.uid.to_string()))
}

fn parse(text: &[u8]) -> Result<Vec<Account>, InstallError> {
    let path = || ImagePath::parse(PASSWD).unwrap_or_default();
    let mut accounts = Vec::new();
    for (i, line) in lines(text).enumerate() {
        if line.len() > MAX_LINE {
            return Err(InstallError::LongLine { path: path(), line: i + 1 });
        }
        let fields: Vec<Vec<u8>> = trim(line).split(|b| *b == b':').map(<[u8]>::to_vec).collect();
        let account = <[Vec<u8>; 7]>::try_from(fields)
            .ok()
            .and_then(|fields| Some(Account { uid: number(&fields[2])?, gid: number(&fields[3])?, fields }));
        accounts.push(account.ok_or_else(|| InstallError::AccountsLine {
            path: path(),
            line: i + 1,
            expected: "name:password:uid:gid:comment:home:shell",
            found: line.to_vec(),
        })?);
    }
    Ok(accounts)
}

/// Ids are read as 64 bits with a sign and kept as 32 without one: `-1` means 4294967295.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse::<i64>().ok().map(|id| id as u32)
}

impl Account {
    fn line(&self) -> Vec<u8> {
        let (uid, gid) = (self.uid.to_string().into_bytes(), self.gid.to_string().into_bytes());
        let [name, password, _, _, comment, home, shell] = &self.fields;
        let mut line = [name, password, &uid, &gid, comment, home, shell].map(Vec::as_slice).join(&b':');
        line.push(b'\n');
        line
    }
}

/// An existing folder is left as it is; a new one is its owner's alone.
fn make_home(root: &mut Root, account: &Account) -> Result<(), InstallError> {
    let [user, .., home, _] = &account.fields;
    if home == b"/dev/null" {
        return Ok(());
    }
    let path = ImagePath::parse(home).map_err(|source| InstallError::Path {
        what: format!("the account `{}` in /etc/passwd", shown(user)),
        source,
    })?;
    match root.look_up(path.as_bytes())? {
        Some(id) if root.tree.node(id).is_directory() => Ok(()),
        Some(_) => Err(InstallError::Home { path, user: user.clone() }),
        None => {
            root.make_folders(split(path.as_bytes()).0, 0o755, FOR)?;
            let owner = Owner { uid: account.uid, gid: account.gid };
            root.make_folder(path.as_bytes(), 0o700, owner, FOR)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(passwd: &str) -> Root {
        let mut root = Root::new();
        root.make_folders(b"etc", 0o755, "test").unwrap();
        root.write(PASSWD, passwd.into(), 0o644, "test").unwrap();
        root
    }

    #[test]
    fn homes_and_numbers() {
        let mut root = with(
            "root:x:0:0:root:/root:/bin/sh\r\n app:x:-1:7::/srv/a/b:\nno:x:1:1::/dev/null:\nb:x:2:2::/etc:",
        );
        assert_eq!(apply(&mut root, "app").unwrap(), "4294967295");
        assert_eq!(
            String::from_utf8(root.read(PASSWD, LIMIT, FOR).unwrap().unwrap()).unwrap(),
            "root:x:0:0:root:/root:/bin/sh\napp:x:4294967295:7::/srv/a/b:\nno:x:1:1::/dev/null:\nb:x:2:2::/etc:\n"
        );
        let meta = |path: &str| root.tree.node(root.look_up(path.as_bytes()).unwrap().unwrap()).meta;
        assert_eq!(
            (meta("srv/a/b").mode.bits(), meta("srv/a/b").owner),
            (0o700, Owner { uid: u32::MAX, gid: 7 })
        );
        assert_eq!((meta("srv/a").mode.bits(), meta("srv/a").owner), (0o755, Owner::ROOT));
        assert_eq!((meta("root").mode.bits(), meta("etc").mode.bits()), (0o700, 0o755));
        assert_eq!(root.look_up(b"dev").unwrap(), None);
    }

    #[test]
    fn names_that_are_nobodys_stay() {
        let mut root = with("");
        assert_eq!(apply(&mut root, "nobody:nogroup").unwrap(), "nobody:nogroup");
        assert_eq!(apply(&mut root, "").unwrap(), "");
    }

    #[test]
    fn bad_lines_are_shown() {
        let message = |text: &str| apply(&mut with(text), "").unwrap_err().to_string();
        expect_test::expect![[
            r"/etc/passwd, line 2: expected name:password:uid:gid:comment:home:shell, found `\u{1b}[31m:x:0`"
        ]]
        .assert_eq(&message("root:x:0:0:root:/root:/bin/sh\n\x1b[31m:x:0\n"));
        assert!(message("a:x:one:0::/:\n").contains("line 1"));
        assert!(message("a:x:1:0::/:\n\n").contains("line 2"));
        assert!(message(&format!("{}\n", "a".repeat(70_000))).contains("at most 65535"));
        assert!(message("a:x:1:1::/../x:\n").contains("the account `a`"));
        assert_eq!(message("a:x:1:1::/etc/passwd:\n"), "/etc/passwd: the home of `a` is not a folder");
    }
}
