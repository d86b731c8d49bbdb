//! `assemble tree`

use std::fmt::Write as _;
use std::process::ExitCode;

use assemble::{ChosenPackages, Edge, Result};
use assemble_types::counted;

use super::{Session, chosen};
use crate::args::TreeArgs;
use crate::json;
use crate::render::printable_line;

pub(crate) fn run(args: &TreeArgs) -> ExitCode {
    let session = Session::new(&args.look.report);
    let result = tree(args, &session);
    session.end(result)
}

fn tree(args: &TreeArgs, session: &Session) -> Result<String> {
    let all = chosen(args.spec.as_deref(), &args.look, session)?;
    if args.look.report.json {
        return Ok(json::tree(&all));
    }
    let show = if args.dot { dot } else { indented };
    Ok(all.iter().map(show).collect())
}

fn name(one: &ChosenPackages, place: usize) -> String {
    let package = &one.packages[place];
    printable_line(&format!("{}-{}", package.name, package.version))
}

/// Each package with what it needs, once; where it comes again, it is named and no more.
fn indented(one: &ChosenPackages) -> String {
    let mut out = format!("{}: {}\n", one.platform, counted(one.packages.len(), "package", "packages"));
    let mut shown = vec![false; one.packages.len()];
    // What came in by itself stands with what it came for.
    let mut brought: Vec<Vec<Edge>> = vec![Vec::new(); one.packages.len()];
    for (place, edges) in one.graph().came_for.iter().enumerate() {
        if let Some(edge) = edges.first() {
            brought[edge.to].push(Edge { constraint: edge.constraint.clone(), to: place });
        }
    }
    // Chains can be as long as an index, so there is a stack and no recursion.
    let mut stack: Vec<(usize, &Edge, bool)> =
        one.graph().world.iter().rev().map(|edge| (1, edge, false)).collect();
    while let Some((depth, edge, by_itself)) = stack.pop() {
        let package = name(one, edge.to);
        let again = std::mem::replace(&mut shown[edge.to], true);
        let below = !one.graph().needs[edge.to].is_empty() || !brought[edge.to].is_empty();
        let constraint = printable_line(&edge.constraint.to_string());
        let why = match (by_itself, constraint == one.packages[edge.to].name) {
            (true, _) => format!(" (by itself, for {constraint})"),
            (false, true) => String::new(),
            (false, false) => format!(" ({constraint})"),
        };
        let _ =
            writeln!(out, "{:1$}{package}{why}{2}", "", depth * 2, if again && below { " …" } else { "" });
        if again {
            continue;
        }
        stack.extend(brought[edge.to].iter().rev().map(|edge| (depth + 1, edge, true)));
        stack.extend(one.graph().needs[edge.to].iter().rev().map(|edge| (depth + 1, edge, false)));
    }
    out
}

/// A graph for Graphviz.
fn dot(one: &ChosenPackages) -> String {
    let quoted =
        |text: &str| format!("\"{}\"", printable_line(text).replace('\\', "\\\\").replace('"', "\\\""));
    let mut out =
        format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quoted(&one.platform.to_string()));
    for edge in &one.graph().world {
        let entry = quoted(&format!("{} ", edge.constraint));
        let _ = writeln!(out, "  {entry} [shape=ellipse, label={}];", quoted(&edge.constraint.to_string()));
        let _ = writeln!(out, "  {entry} -> {};", quoted(&name(one, edge.to)));
    }
    for place in 0..one.packages.len() {
        let from = quoted(&name(one, place));
        let _ = writeln!(out, "  {from};");
        let edges = |list: &[Edge], style: &str| -> Vec<String> {
            let line = |edge: &Edge| {
                let (to, label) = (quoted(&name(one, edge.to)), quoted(&edge.constraint.to_string()));
                format!("  {from} -> {to} [label={label}{style}];\n")
            };
            list.iter().map(line).collect()
        };
        out.extend(edges(&one.graph().needs[place], ""));
        out.extend(edges(&one.graph().came_for[place], ", style=dashed"));
    }
    out += "}\n";
    out
}
