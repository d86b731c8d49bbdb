//! `accounts`: users, groups, and who the image runs as.

use super::{Cx, Fields};
use crate::diagnostic::Diagnostic;
use crate::model::{Group, Located, Spec, User};
use crate::node::{Entry, Node};
use crate::schema::{self, Place};
use crate::source::plain;

pub(super) fn check(cx: &mut Cx<'_, '_>, top: &Fields<'_>, spec: &mut Spec) {
    let Some(entry) = top.get("accounts") else { return };
    let Some(fields) = cx.fields(&schema::ACCOUNTS, &entry.value, &entry.key_range) else { return };
    spec.run_as = fields.get("run-as").and_then(|entry| run_as(cx, entry));
    let users = cx.entries("accounts.users", fields, "users");
    spec.users = users.into_iter().filter_map(|node| user(cx, node)).collect();
    let groups = cx.entries("accounts.groups", fields, "groups");
    spec.groups = groups.into_iter().filter_map(|node| group(cx, node)).collect();
}

fn run_as(cx: &mut Cx<'_, '_>, entry: &Entry) -> Option<Located<String>> {
    let text = cx.text("accounts.run-as", &entry.value, &entry.key_range)?;
    if text.value.is_empty() {
        return None;
    }
    if cx.lenient() || is_user(&text.value) {
        return Some(text);
    }
    let diagnostic = cx
        .wrong("spec/value", format!("`{}` is no user", plain(&text.value)), &entry.value, "")
        .help("write a number such as `65532`, a name, or `65532:65532` with a group; `root` has to be asked for by name");
    cx.report(diagnostic);
    None
}

/// `user`, `uid`, or one of them and a group.
pub(super) fn is_user(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/')
            && (!part.bytes().all(|b| b.is_ascii_digit())
                || part.parse::<u32>().is_ok_and(|id| id != u32::MAX))
    };
    text.split(':').count() <= 2 && text.split(':').all(part)
}

fn user(cx: &mut Cx<'_, '_>, node: &Node) -> Option<User> {
    let fields = cx.fields(&schema::USER, node, &node.range)?;
    let name = account_name(cx, &schema::USER, node, fields, "username");
    let uid = cx.account_id(&schema::USER, node, fields, "uid", true);
    let gid = fields.get("gid").and_then(|entry| cx.id("gid", entry));
    let shell = line(cx, fields, "shell");
    let home = line(cx, fields, "homedir");
    Some(User { name: name?.value, uid: uid?, gid, shell, home, span: cx.span(&node.range, "") })
}

fn group(cx: &mut Cx<'_, '_>, node: &Node) -> Option<Group> {
    let fields = cx.fields(&schema::GROUP, node, &node.range)?;
    let name = account_name(cx, &schema::GROUP, node, fields, "groupname");
    let gid = cx.account_id(&schema::GROUP, node, fields, "gid", false);
    let mut members = Vec::new();
    for (node, member) in cx.texts("members", fields, "members") {
        if !cx.lenient()
            && let Some(problem) = field_problem(&member).or(member.contains(',').then_some("a comma"))
        {
            let message = format!("`{}` is no name of a user: it holds {problem}", plain(&member));
            let diagnostic = cx.wrong("spec/value", message, node, "").help("each member has its own line");
            cx.report(diagnostic);
        }
        members.push(member);
    }
    Some(Group { name: name?.value, gid: gid?, members, span: cx.span(&node.range, "") })
}

/// The name of a user or group. With a colon or a line break in it, the line of `/etc/passwd` would say something else.
fn account_name(
    cx: &mut Cx<'_, '_>,
    place: &Place,
    node: &Node,
    fields: Fields<'_>,
    key: &str,
) -> Option<Located<String>> {
    let name = cx.required(place, node, fields, key, &format!("write `{key}: NAME`"))?;
    let problem = field_problem(&name.value)
        .or_else(|| name.value.contains(char::is_whitespace).then_some("a space"))
        .or_else(|| name.value.contains('/').then_some("a slash"));
    if let Some(problem) = problem.filter(|_| !cx.lenient()) {
        let message = format!("`{}` is no name of an account: it holds {problem}", plain(&name.value));
        let diagnostic = Diagnostic::new("spec/value", message).at(name.span.clone());
        cx.report(diagnostic.help("write letters, digits, `_`, `.` and `-`"));
    }
    Some(name)
}

/// A text that becomes a field of `/etc/passwd`.
fn line(cx: &mut Cx<'_, '_>, fields: Fields<'_>, key: &str) -> String {
    let Some(text) = cx.text_of(key, fields, key) else { return String::new() };
    let problem =
        field_problem(&text.value).or((!text.value.starts_with('/')).then_some("no `/` at its start"));
    if let Some(problem) = problem.filter(|_| !cx.lenient()) {
        let message = format!("`{}` is no `{key}`: it holds {problem}", plain(&text.value));
        let diagnostic = Diagnostic::new("spec/value", message).at(text.span.clone());
        cx.report(diagnostic.help("write an absolute path"));
    }
    text.value
}

fn field_problem(text: &str) -> Option<&'static str> {
    match () {
        () if text.contains(':') => Some("a colon"),
        () if text.contains(char::is_control) => Some("a control character"),
        () => None,
    }
}

impl Cx<'_, '_> {
    /// The number of a user, which is never 0, or of a group, which is 0 if it is not given to apko.
    fn account_id(
        &mut self,
        place: &Place,
        node: &Node,
        fields: Fields<'_>,
        key: &str,
        of_user: bool,
    ) -> Option<u32> {
        let Some(entry) = fields.get(key) else {
            if self.lenient() && !of_user {
                return Some(0);
            }
            let help = if of_user {
                "write `uid: 1000`; to run as root, no user is needed: `run-as: 0`"
            } else {
                "write `gid: 1000`"
            };
            self.required(place, node, fields, key, help);
            return None;
        };
        let id = self.id(key, entry)?;
        if id == 0 && of_user {
            let diagnostic = self
                .wrong("spec/value", "a user of the number 0 would be root", &entry.value, "")
                .help("to run as root, no user is needed: `run-as: 0`");
            self.report(diagnostic);
            return None;
        }
        Some(id)
    }
}
