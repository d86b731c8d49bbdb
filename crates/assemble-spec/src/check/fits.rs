//! Whether a text would pass as a value of a spec, for specs that are made and not read.

use assemble_types::ImagePath;

use super::{accounts, package, runtime, sources, values};

pub(crate) fn package(text: &str) -> bool {
    package::parse(text).is_ok()
}

pub(crate) fn host_path(text: &str) -> bool {
    sources::host_path_problem("source", text).is_none() && !text.contains('\0')
}

pub(crate) fn image_path(text: &str) -> bool {
    text.starts_with('/') && !text.chars().any(char::is_control) && ImagePath::parse(text).is_ok()
}

pub(crate) fn repository(text: &str) -> bool {
    let secret = text
        .split_once("://")
        .is_some_and(|(_, rest)| rest.split('/').next().is_some_and(|a| a.contains('@')));
    let known = ["http://", "https://", "file://"].iter().any(|scheme| text.starts_with(scheme));
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '$' | '{' | ':');
    known && !secret && !text["https:".len()..].contains(odd)
}

pub(crate) fn variable(name: &str) -> bool {
    runtime::variable_problem(name).is_none()
}

pub(crate) fn port(text: &str) -> bool {
    values::port(text).is_ok()
}

pub(crate) fn volume(text: &str) -> bool {
    runtime::volume(text).is_ok()
}

pub(crate) fn signal(text: &str) -> bool {
    values::signal(text).is_ok()
}

pub(crate) fn user(text: &str) -> bool {
    accounts::is_user(text)
}
