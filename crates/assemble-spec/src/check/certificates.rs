//! `certificates` and `contents.runtime_keyring`: what the image trusts.

use super::{Cx, Fields};
use crate::diagnostic::Diagnostic;
use crate::model::{
    AdditionalCertificate, CertificateSource, Certificates, Dialect, Located, RuntimeKey, Spec,
};
use crate::node::Node;
use crate::schema;
use crate::source::plain;

pub(super) fn check(cx: &mut Cx<'_, '_>, top: &Fields<'_>, spec: &mut Spec) {
    if let Some(entry) = top.get("certificates")
        && let Some(fields) = cx.fields(&schema::CERTIFICATES, &entry.value, &entry.key_range)
    {
        let additional = cx.entries("certificates.additional", fields, "additional");
        let additional = additional.into_iter().filter_map(|node| certificate(cx, node)).collect();
        let providers = cx.texts("certificates.providers", fields, "providers");
        let providers = providers
            .into_iter()
            .map(|(node, value)| Located { value, span: cx.span(&node.range, "") })
            .collect();
        spec.certificates = Some(Certificates { additional, providers });
    }
    if let Some(entry) = top.get("contents")
        && let Some(fields) = entry.value.map().map(Fields)
    {
        let keys = cx.entries("contents.runtime_keyring", fields, "runtime_keyring");
        spec.runtime_keyring = keys.into_iter().filter_map(|node| runtime_key(cx, node)).collect();
    }
}

/// One entry of `contents.runtime_keyring`.
fn runtime_key(cx: &mut Cx<'_, '_>, node: &Node) -> Option<RuntimeKey> {
    let fields = cx.fields(&schema::RUNTIME_KEY, node, &node.range)?;
    let name = cx.required(&schema::RUNTIME_KEY, node, fields, "name", "write `name: my-key.rsa.pub`");
    let content = cx.required(
        &schema::RUNTIME_KEY,
        node,
        fields,
        "content",
        "write the key itself:\ncontent: |\n  -----BEGIN PUBLIC KEY-----\n  …",
    );
    let (name, content) = (name?, content?);
    check_name(cx, &name, "a key");
    let wrong = if content.value.contains("PRIVATE KEY-----") {
        Some((
            "this is a private key, not a public one",
            "take it out and make a new one: the spec is no place for secrets",
        ))
    } else if !content.value.contains("-----BEGIN PUBLIC KEY-----") {
        Some(("`content` is no PEM public key", "it begins with `-----BEGIN PUBLIC KEY-----`"))
    } else {
        None
    };
    if let Some((message, help)) = wrong {
        let at = fields.get("content").map_or(0..0, |entry| entry.key_range.clone());
        let diagnostic = cx.wrong_at("spec/value", message, &at, "").help(help);
        cx.report(diagnostic);
    }
    Some(RuntimeKey { name: name.value, content: content.value, span: cx.span(&node.range, "") })
}

/// apko's rule for names that become file names: letters, digits, `_`, `-` and, but for the first, `.`.
fn check_name(cx: &mut Cx<'_, '_>, name: &Located<String>, what: &str) {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if name.value.bytes().enumerate().all(|(at, b)| word(b) || at > 0 && b == b'.') {
        return;
    }
    let diagnostic = Diagnostic::new("spec/value", format!("`{}` is no name of {what}", plain(&name.value)))
        .at(name.span.clone())
        .help("letters, digits, `_`, `-` and, but for the first, `.` may be used");
    cx.report(diagnostic);
}

/// One entry of `certificates.additional`.
fn certificate(cx: &mut Cx<'_, '_>, node: &Node) -> Option<AdditionalCertificate> {
    if let Some(scalar) = node.scalar().filter(|_| !node.is_null()) {
        let help = if scalar.text.contains("-----BEGIN") {
            "write\n- name: my-ca\n  content: |\n    -----BEGIN CERTIFICATE-----\n    …".to_owned()
        } else {
            format!("write `- source: {}`", crate::yaml::scalar(&plain(&scalar.text)))
        };
        let diagnostic = cx
            .wrong("spec/type", "an entry of `certificates.additional` has to be a map", node, "")
            .help(help);
        cx.report(diagnostic);
        return None;
    }
    let fields = cx.fields(&schema::CERTIFICATE, node, &node.range)?;
    let name = cx.text_of("name", fields, "name");
    if let Some(name) = &name {
        check_name(cx, name, "a certificate");
    }
    let source = fields.get("source").and_then(|e| cx.host_path("source", &e.value, &e.key_range));
    let content = cx.text_of("content", fields, "content");
    let named = |key: &str| fields.get(key).is_some_and(|entry| !entry.value.is_empty());
    let source = match (named("source"), named("content")) {
        (true, true) => {
            let diagnostic =
                cx.wrong("spec/conflict", "a certificate has both `source` and `content`", node, "");
            cx.report(diagnostic.help("keep one of them"));
            return None;
        }
        (false, false) => {
            if fields.0.iter().all(|entry| schema::CERTIFICATE.knows(&entry.key, Dialect::Assemble)) {
                let diagnostic =
                    cx.wrong("spec/missing", "a certificate has neither `source` nor `content`", node, "");
                cx.report(diagnostic.help("write `source: FILE.pem`"));
            }
            return None;
        }
        (true, false) => CertificateSource::File(source?),
        (false, true) => CertificateSource::Inline(inline_pem(cx, content?, fields, name.is_some())?),
    };
    Some(AdditionalCertificate { name: name.map(|name| name.value), source, span: cx.span(&node.range, "") })
}

fn inline_pem(
    cx: &mut Cx<'_, '_>,
    content: Located<String>,
    fields: Fields<'_>,
    named: bool,
) -> Option<String> {
    let problem = if content.value.contains("PRIVATE KEY-----") {
        Some((
            "this is a private key, not a certificate",
            "take it out and make a new one: the spec is no place for secrets",
        ))
    } else if !content.value.contains("-----BEGIN CERTIFICATE-----") {
        Some((
            "`content` is no PEM certificate",
            "it begins with `-----BEGIN CERTIFICATE-----`; for a file, write `source`",
        ))
    } else if !named {
        Some(("a certificate in the spec needs a `name`", "write `name: my-ca` beside `content`"))
    } else {
        None
    };
    let Some((message, help)) = problem else { return Some(content.value) };
    let at = fields.get("content").map_or(0..0, |entry| entry.key_range.clone());
    let diagnostic = cx.wrong_at("spec/value", message, &at, "").help(help);
    cx.report(diagnostic);
    None
}
