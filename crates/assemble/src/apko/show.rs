//! What a configuration means and would bring: as YAML, as a list of packages, as a graph.

use assemble_resolve::{Repository, Solution};
use assemble_types::Platform;

use super::dot::Drawing;
use super::request::ApkoRequest;
use super::yaml;
use crate::apko_config;
use crate::build::{Env, Stopwatch};
use crate::choose;
use crate::error::{Doing, Error, OwnError, Result};
use crate::plan::Plan;
use crate::sources::{Indexes, Sources};

pub(super) fn config(request: &ApkoRequest) -> Result<String> {
    let file = request.read()?;
    Ok(yaml::document(&apko_config::of(&file.spec)))
}

/// How a package is shown: a text with places for its name, version and source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFormat(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name,
    Version,
    Source,
}

/// The formats that have a name.
const NAMED: [(&str, &str); 8] = [
    ("name-version", "{{ .Name }} {{ .Version }}"),
    ("name-version-source", "{{ .Name }} {{ .Version }} {{ .Source }}"),
    ("name=version", "{{ .Name }}={{ .Version }}"),
    ("name=version-source", "{{ .Name }}={{ .Version }} {{ .Source }}"),
    ("name-(version)", "{{ .Name }} ({{ .Version }})"),
    ("name-(version)-source", "{{ .Name }} ({{ .Version }}) {{ .Source }}"),
    ("packagelock", "- {{ .Name }}={{ .Version }}"),
    ("packagelock-source", "- {{ .Name }}={{ .Version }} # {{ .Source }}"),
];

impl PackageFormat {
    /// A format's name, or a template over `.Name`, `.Version` and `.Source` and nothing else.
    pub fn parse(text: &str) -> Result<Self> {
        let template = NAMED.iter().find(|(name, _)| *name == text).map_or(text, |(_, template)| template);
        let refused = |action: &str| {
            Error::from(OwnError::NotSupported {
                what: format!("`{{{{{action}}}}}` in --format"),
                why: "a template can hold {{.Name}}, {{.Version}} and {{.Source}}, and no other action",
            })
        };
        let mut pieces = Vec::new();
        let mut rest = template;
        while let Some(at) = rest.find("{{") {
            let (before, after) = rest.split_at(at);
            pieces.push(Piece::Text(before.to_owned()));
            let Some(end) = after.find("}}") else { return Err(refused(&after[2..])) };
            let action = &after[2..end];
            pieces.push(match action.trim() {
                ".Name" => Piece::Name,
                ".Version" => Piece::Version,
                ".Source" => Piece::Source,
                _ => return Err(refused(action)),
            });
            rest = &after[end + 2..];
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    fn line(&self, package: &Shown<'_>) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Name => package.record.name.to_string(),
            Piece::Version => package.record.version.to_string(),
            Piece::Source => package.source.clone(),
        };
        self.0.iter().map(text).collect()
    }
}

/// A chosen package.
struct Shown<'a> {
    record: &'a assemble_apk::Record,
    /// Its URL or path.
    source: String,
}

pub(super) fn packages(request: &ApkoRequest, format: &PackageFormat, env: &Env) -> Result<String> {
    let (file, options) = (request.load()?, request.options(&[])?);
    let plan = Plan::lower(&file, &options)?;
    let sources = Sources::of(&plan, env);
    let mut out = String::new();
    let indexes = choose::indexes(&plan, &plan.platforms, &sources, &mut Stopwatch::default())?;
    let solutions = choose::first_pass(&plan, &plan.platforms, &indexes)?;
    for ((platform, indexes), solution) in plan.platforms.iter().zip(&indexes).zip(&solutions) {
        for package in shown(*platform, &indexes.repositories, solution) {
            out.push_str(&format.line(&package));
            out.push('\n');
        }
        choose::all_read(&indexes.repositories)?;
    }
    Ok(out)
}

fn shown<'a>(platform: Platform, repositories: &'a [Repository], solution: &'a Solution) -> Vec<Shown<'a>> {
    let source = |repository: &Repository, record: &assemble_apk::Record| {
        format!("{}/{}/{}-{}.apk", repository.name, platform.arch.apk(), record.name, record.version)
    };
    let records = solution.records(repositories);
    records.map(|(repository, record)| Shown { record, source: source(repository, record) }).collect()
}

pub(super) fn graph(request: &ApkoRequest, spanning_tree: bool, env: &Env) -> Result<String> {
    let (file, options) = (request.load()?, request.options(&[])?);
    let mut plan = Plan::lower(&file, &options)?;
    plan.platforms.truncate(1);
    let sources = Sources::of(&plan, env);
    let resolved = resolve(&plan, &sources);
    let wanted = super::request::written_packages(&file.spec);
    let (chosen, error) = match &resolved {
        Ok((indexes, solution)) => {
            (solution.records(&indexes.repositories).map(|(_, record)| record).collect(), None)
        }
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let config = request.config.display().to_string();
    let drawing = Drawing { config: &config, wanted, chosen: &chosen, error, spanning_tree };
    if let Ok((indexes, _)) = &resolved {
        choose::all_read(&indexes.repositories)?;
    }
    Ok(drawing.text())
}

/// The choice for the first architecture alone.
fn resolve(plan: &Plan<'_>, sources: &Sources<'_>) -> Result<(Indexes, Solution)> {
    let mut indexes = choose::indexes(plan, &plan.platforms, sources, &mut Stopwatch::default())?;
    let mut solutions = choose::first_pass(plan, &plan.platforms, &indexes)?;
    match (indexes.pop(), solutions.pop()) {
        (Some(indexes), Some(solution)) => Ok((indexes, solution)),
        _ => Err(OwnError::Usage("there is no architecture to choose for".into())).doing(|| "drawing".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_three_places() {
        let lock = PackageFormat::parse("packagelock-source").unwrap();
        let own = PackageFormat::parse("- {{.Name}}={{ .Version }} # {{.Source }}").unwrap();
        assert_eq!(lock, own);
        assert_eq!(PackageFormat::parse("x").unwrap(), PackageFormat(vec![Piece::Text("x".into())]));
        for wrong in
            ["{{.Arch}}", "{{.Name", "{{- .Name}}", "{{if .Name}}{{end}}", "{{.Name | printf \"%s\"}}"]
        {
            let error = PackageFormat::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("in --format"), "{error}");
        }
    }
}
