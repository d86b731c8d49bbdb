//! The summary at the end of a build, on standard error.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use assemble::{Built, BuiltImage, BuiltLayer, Published, RewrittenPackage, VerbatimReport};
use assemble_types::counted;

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    // Tenths, rounded, in integers: the last digit must not depend on floating point.
    let mut tenths = (bytes + 50) / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths = (tenths + 500) / 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

fn duration(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{} s", time.as_secs())
    }
}

fn row(out: &mut String, name: &str, value: &str) {
    let _ = writeln!(out, "  {name:<12} {}", crate::render::printable_line(value));
}

/// What was built, and what to run next.
pub(crate) fn build(built: &Built, published: &Published, took: Duration) -> String {
    let mut out = String::new();
    let names: Vec<String> = built.names.iter().map(assemble::Reference::familiar).collect();
    let _ = writeln!(out, "built {}", names.join(", "));
    if built.images.len() > 1 {
        row(&mut out, "index", &built.set.digest().to_string());
    }
    for image in &built.images {
        platform(&mut out, image);
    }
    row(&mut out, "created", &built.created.to_string());
    row(&mut out, "took", &duration(took));
    for place in &published.written {
        row(&mut out, "written to", place);
    }
    for name in &published.loaded {
        row(&mut out, "loaded as", &format!("{name} ({})", published.runtime.as_deref().unwrap_or_default()));
    }
    for push in &published.pushed {
        let sent = if push.blobs_sent == 0 {
            "nothing to send".to_owned()
        } else {
            format!("{} sent, {} there already", size(push.bytes_sent), push.blobs_present)
        };
        row(&mut out, "pushed", &format!("{} ({sent})", push.reference));
    }
    for next in next_steps(built, published) {
        row(&mut out, "next", &next);
    }
    out
}

fn platform(out: &mut String, built: &BuiltImage) {
    let image = &built.image;
    row(out, "platform", &built.platform.to_string());
    row(out, "manifest", &image.manifest_digest().to_string());
    row(out, "image ID", &format!("{} (what docker lists)", image.config_digest()));
    let packed: u64 = built.layers.iter().map(|built| built.layer.size).sum();
    let unpacked: u64 = built.layers.iter().map(|built| built.layer.uncompressed_size).sum();
    row(out, "size", &format!("{} packed, {} unpacked", size(packed), size(unpacked)));
    for BuiltLayer { name, layer, .. } in &built.layers {
        row(out, "layer", &format!("{} {} ({name})", layer.digest.short(), size(layer.size)));
    }
    if !built.contents.packages.is_empty() {
        row(out, "packages", &built.contents.packages.len().to_string());
    }
    if let Some(report) = &built.contents.verbatim {
        verbatim(out, report);
    }
    row(out, "user", built.start.user.as_deref().unwrap_or("root (none is set)"));
    if !built.start.entrypoint.is_empty() {
        row(out, "entrypoint", &built.start.entrypoint.join(" "));
    }
    if !built.start.cmd.is_empty() {
        row(out, "cmd", &built.start.cmd.join(" "));
    }
    if built.start.entrypoint.is_empty() && built.start.cmd.is_empty() {
        row(out, "entrypoint", "none: name a command when you run it");
    }
    let mut data = Vec::new();
    data.extend(built.contents.certificates.as_ref().map(|v| format!("certificates {v}")));
    data.extend(built.contents.time_zones.as_ref().map(|v| format!("time zones {v}")));
    if !data.is_empty() {
        row(out, "data", &data.join(", "));
    }
    for text in &built.contents.replaced {
        row(out, "replaced", text);
    }
    for text in &built.contents.scripts_not_run {
        row(out, "script", text);
    }
    for text in &built.contents.foreign_keys {
        row(out, "key", text);
    }
    for text in &built.contents.untrusted {
        row(out, "UNTRUSTED", &format!("{text} (--allow-untrusted)"));
    }
    for text in &built.start.problems {
        row(out, "WILL NOT RUN", text);
    }
}

/// How many packages are layers as their distribution signed them, and why the others are not.
fn verbatim(out: &mut String, report: &VerbatimReport) {
    let text = format!(
        "{} of {}, {} of {}, are layers as they were signed",
        report.verbatim,
        counted(report.packages, "package", "packages"),
        size(report.verbatim_bytes),
        size(report.bytes)
    );
    row(out, "verbatim", &text);
    for RewrittenPackage { package, reason } in &report.rewritten {
        row(out, "rewritten", &format!("{package}: {reason}"));
    }
}

fn next_steps(built: &Built, published: &Published) -> Vec<String> {
    if let Some(name) = published.loaded.first() {
        return vec![format!("{} run --rm {name}", published.runtime.as_deref().unwrap_or("docker"))];
    }
    if let Some(push) = published.pushed.first() {
        return vec![format!("docker run --rm {}", push.reference)];
    }
    match published.written.first() {
        Some(place) if Path::new(place).is_file() => vec![format!("docker load -i {place}")],
        Some(place) => vec![
            format!("assemble inspect {place}"),
            format!("assemble push {place} REGISTRY/{}", built.names[0].familiar()),
        ],
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_to_tenths() {
        let cases = [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_049, "1.0 kB"), (1_050, "1.1 kB")];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(size(999_999), "1.0 MB");
        assert_eq!(size(2_489_448), "2.5 MB");
        assert_eq!(size(16_000_000_000), "16.0 GB");
    }
}
