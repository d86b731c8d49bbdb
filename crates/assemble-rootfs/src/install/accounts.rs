//! `/etc/group`, `/etc/passwd`, `/etc/shadow`, the homes of all accounts, and the user that the image runs as.

use assemble_types::{ImagePath, Owner};

use super::error::InstallError;
use super::mutations::{Accounts, NewGroup, NewUser};
use super::root::Root;
use super::text::{MAX_LINE, base_name, dir_name, join_clean, lines, trim};
use crate::shown::shown;

const FOR: &str = "the accounts";
const GROUP: &[u8] = b"etc/group";
const PASSWD: &[u8] = b"etc/passwd";
const SHADOW: &[u8] = b"etc/shadow";
const LIMIT: u64 = 16 << 20;

/// A line of `/etc/passwd`.
struct Account {
    fields: [Vec<u8>; 7],
    uid: u32,
    gid: u32,
}

/// Adds groups and users, and makes all homes that are missing, those of packaged accounts too. `/etc/passwd` is made
/// even if there is nothing to add; each file is written again line by line. A `run_as` that is the name of an account
/// becomes its number; anything else stays as it is.
pub(super) fn apply(root: &mut Root, added: &Accounts, run_as: &str) -> Result<String, InstallError> {
    if !added.groups.is_empty() {
        add_groups(root, &added.groups)?;
    }
    root.file(PASSWD, 0o644, FOR)?;
    let mut accounts = accounts(root)?;
    accounts.extend(added.users.iter().map(Account::new));
    for account in &accounts {
        make_home(root, account)?;
    }
    root.write(PASSWD, accounts.iter().flat_map(Account::line).collect(), 0o644, FOR)?;
    if !added.users.is_empty() {
        add_passwords(root, &added.users)?;
    }
    let found = accounts.iter().find(|account| !run_as.is_empty() && account.fields[0] == run_as.as_bytes());
    Ok(found.map_or_else(|| run_as.to_owned(), |account| account.uid.to_string()))
}

/// The lines of a file, each of `N` fields with colons between.
fn records<const N: usize>(
    root: &Root,
    path: &'static [u8],
    expected: &'static str,
) -> Result<Vec<[Vec<u8>; N]>, InstallError> {
    let text = root.read(path, LIMIT, FOR)?.unwrap_or_default();
    let mut records = Vec::new();
    for (i, line) in lines(&text).enumerate() {
        if line.len() > MAX_LINE {
            return Err(InstallError::LongLine { path: named(path), line: i + 1 });
        }
        let fields: Vec<Vec<u8>> = trim(line).split(|b| *b == b':').map(<[u8]>::to_vec).collect();
        records.push(fields.try_into().map_err(|_| bad_line(path, i, expected, line))?);
    }
    Ok(records)
}

fn named(path: &[u8]) -> ImagePath {
    ImagePath::parse(path).unwrap_or_default()
}

fn bad_line(path: &[u8], index: usize, expected: &'static str, line: &[u8]) -> InstallError {
    InstallError::AccountsLine { path: named(path), line: index + 1, expected, found: line.to_vec() }
}

fn joined<const N: usize>(fields: [&[u8]; N]) -> Vec<u8> {
    let mut line = fields.join(&b':');
    line.push(b'\n');
    line
}

fn add_groups(root: &mut Root, added: &[NewGroup]) -> Result<(), InstallError> {
    const EXPECTED: &str = "name:password:gid:members";
    root.file(GROUP, 0o644, FOR)?;
    let mut text = Vec::new();
    for (i, fields) in records::<4>(root, GROUP, EXPECTED)?.iter().enumerate() {
        let [name, password, gid, members] = fields;
        let gid = number(gid).ok_or_else(|| bad_line(GROUP, i, EXPECTED, &fields.join(&b':')))?;
        text.extend(joined([name, password, gid.to_string().as_bytes(), members]));
    }
    for group in added {
        let (gid, members) = (group.gid.to_string(), group.members.join(","));
        text.extend(joined([group.name.as_bytes(), b"x", gid.as_bytes(), members.as_bytes()]));
    }
    root.write(GROUP, text, 0o644, FOR).map(|_| ())
}

/// The new accounts have no password; for the others the day of the last change is lost on the way.
fn add_passwords(root: &mut Root, added: &[NewUser]) -> Result<(), InstallError> {
    const EXPECTED: &str = "name:password:changed:min:max:warn:inactive:expires:flag";
    root.file(SHADOW, 0o640, FOR)?;
    let mut text = Vec::new();
    for [name, password, _, min, max, warn, inactive, expires, flag] in records::<9>(root, SHADOW, EXPECTED)?
    {
        let fields = [&name, &password, &Vec::new(), &min, &max, &warn, &inactive, &expires, &flag];
        text.extend(joined(fields.map(Vec::as_slice)));
    }
    for user in added {
        text.extend(format!("{}:!:::::::\n", user.name).into_bytes());
    }
    root.write(SHADOW, text, 0o640, FOR).map(|_| ())
}

fn accounts(root: &Root) -> Result<Vec<Account>, InstallError> {
    const EXPECTED: &str = "name:password:uid:gid:comment:home:shell";
    let mut accounts = Vec::new();
    for (i, fields) in records::<7>(root, PASSWD, EXPECTED)?.into_iter().enumerate() {
        let (Some(uid), Some(gid)) = (number(&fields[2]), number(&fields[3])) else {
            return Err(bad_line(PASSWD, i, EXPECTED, &fields.join(&b':')));
        };
        accounts.push(Account { fields, uid, gid });
    }
    Ok(accounts)
}

/// Ids are read as 64 bits with a sign and kept as 32 without one: `-1` means 4294967295.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse::<i64>().ok().map(|id| id as u32)
}

impl Account {
    fn new(user: &NewUser) -> Self {
        let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
        let fields = [&user.name, "x", &uid, &gid, "Account created by apko", &user.home, &user.shell];
        Self { fields: fields.map(|field| field.as_bytes().to_vec()), uid: user.uid, gid: user.gid }
    }

    fn line(&self) -> Vec<u8> {
        let (uid, gid) = (self.uid.to_string().into_bytes(), self.gid.to_string().into_bytes());
        let [name, password, _, _, comment, home, shell] = &self.fields;
        joined([name, password, &uid, &gid, comment, home, shell].map(Vec::as_slice))
    }
}

/// An existing folder is left as it is; a new one is its owner's alone. It is made at `dirname/basename` of the path,
/// but given to its owner at the path as written, which is another place if the path ends with a slash.
fn make_home(root: &mut Root, account: &Account) -> Result<(), InstallError> {
    let [user, .., home, _] = &account.fields;
    if home == b"/dev/null" {
        return Ok(());
    }
    let path = ImagePath::parse(home).map_err(|source| InstallError::Path {
        what: format!("the account `{}` in /etc/passwd", shown(user)),
        source,
    })?;
    match root.look_up_any(home)? {
        Some(id) if root.tree.node(id).is_directory() => return Ok(()),
        Some(_) => return Err(InstallError::Home { path, user: user.clone() }),
        None => {}
    }
    let folder = dir_name(home);
    root.make_folders(&folder, 0o755, FOR)?;
    root.make_folder(&join_clean(&folder, &base_name(home)), 0o700, Owner::ROOT, FOR)?;
    let Some(id) = root.look_up_any(home)? else {
        return Err(InstallError::NoSuchPath { path: shown(home), needed_by: FOR.into() });
    };
    root.tree.node_mut(id).meta.owner = Owner { uid: account.uid, gid: account.gid };
    Ok(())
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
        assert_eq!(apply(&mut root, &Accounts::default(), "app").unwrap(), "4294967295");
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
        assert_eq!(apply(&mut root, &Accounts::default(), "nobody:nogroup").unwrap(), "nobody:nogroup");
        assert_eq!(apply(&mut root, &Accounts::default(), "").unwrap(), "");
    }

    #[test]
    fn users_and_groups_are_appended() {
        let mut root = with("root:x:0:0:root:/root:/bin/sh\n");
        root.write(SHADOW, b"root:*:19000:0:::::\n".to_vec(), 0o600, "test").unwrap();
        let user = |name: &str, uid, home: &str| NewUser {
            name: name.into(),
            uid,
            gid: uid + 1,
            shell: "/bin/sh".into(),
            home: home.into(),
        };
        let group = |name: &str, gid, members: &[&str]| NewGroup {
            name: name.into(),
            gid,
            members: members.iter().map(|m| (*m).to_owned()).collect(),
        };
        let added = Accounts {
            users: vec![user("app", 7, "/srv/app"), user("slash", 8, "/srv/s/"), user("no", 9, "/dev/null")],
            groups: vec![group("g", 5, &["app", "x"]), group("empty", 6, &[])],
        };
        assert_eq!(apply(&mut root, &added, "slash").unwrap(), "8");
        let text = |path: &[u8]| String::from_utf8(root.read(path, LIMIT, FOR).unwrap().unwrap()).unwrap();
        assert_eq!(text(GROUP), "g:x:5:app,x\nempty:x:6:\n");
        assert_eq!(
            text(PASSWD),
            "root:x:0:0:root:/root:/bin/sh\napp:x:7:8:Account created by apko:/srv/app:/bin/sh\n\
             slash:x:8:9:Account created by apko:/srv/s/:/bin/sh\nno:x:9:10:Account created by apko:/dev/null:/bin/sh\n"
        );
        assert_eq!(text(SHADOW), "root:*::0:::::\napp:!:::::::\nslash:!:::::::\nno:!:::::::\n");
        let meta = |path: &str| root.tree.node(root.look_up(path.as_bytes()).unwrap().unwrap()).meta;
        assert_eq!((meta("srv/app").mode.bits(), meta("srv/app").owner), (0o700, Owner { uid: 7, gid: 8 }));
        // With a slash at the end the home is made inside of itself.
        assert_eq!((meta("srv/s").mode.bits(), meta("srv/s").owner), (0o755, Owner { uid: 8, gid: 9 }));
        assert_eq!((meta("srv/s/s").mode.bits(), meta("srv/s/s").owner), (0o700, Owner::ROOT));
        assert_eq!(meta("etc/shadow").mode.bits(), 0o600);
        root.write(GROUP, b"g:x:5\n".to_vec(), 0o644, "test").unwrap();
        let error = apply(&mut root, &added, "").unwrap_err().to_string();
        assert_eq!(error, "/etc/group, line 1: expected name:password:gid:members, found `g:x:5`");
    }

    #[test]
    fn bad_lines_are_shown() {
        let message = |text: &str| apply(&mut with(text), &Accounts::default(), "").unwrap_err().to_string();
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
