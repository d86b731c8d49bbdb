//! The table as JSON Schema, for editors that complete and check.
//!
//! It is draft 7, which every editor's YAML plug-in knows. What depends on several values is the parser's alone to check:
//! the schema never refuses what the parser takes.

use serde_json::{Map, Value, json};

use super::table::TOP;
use super::{Place, Shape};

/// The JSON Schema of a spec, with a line break at the end.
pub fn json_schema() -> String {
    let mut root = map(&TOP);
    if let Some(members) = root.as_object_mut() {
        members.insert("$schema".into(), "http://json-schema.org/draft-07/schema#".into());
        members.insert("title".into(), "assemble".into());
        members.insert(
            "description".into(),
            "What goes into an OCI image, and how it starts. Paths are relative to this file.".into(),
        );
    }
    format!("{root:#}\n")
}

fn map(place: &Place) -> Value {
    let properties: Map<String, Value> = place
        .keys
        .iter()
        .map(|key| {
            let mut schema = of(&key.shape);
            if let Some(members) = schema.as_object_mut() {
                members.insert("description".into(), key.about.into());
            }
            (key.name.to_owned(), schema)
        })
        .collect();
    json!({ "type": ["object", "null"], "properties": properties, "additionalProperties": false })
}

fn of(shape: &Shape) -> Value {
    // A text may be spelt like a number: it is read as it is spelt.
    let text = || json!({ "type": ["string", "number", "boolean", "null"] });
    match shape {
        Shape::Text => text(),
        Shape::Choice(texts) => {
            let texts: Vec<Value> =
                texts.iter().map(|text| Value::from(*text)).chain([Value::Null]).collect();
            json!({ "enum": texts })
        }
        Shape::Platform => json!({ "type": ["string", "integer"], "pattern": PLATFORM }),
        Shape::Number => json!({ "type": ["integer", "string", "null"], "minimum": 0, "pattern": "^[0-9]" }),
        Shape::Permissions => {
            json!({ "type": ["integer", "string", "null"], "minimum": 0, "pattern": "^0[oO]?[0-7]+$" })
        }
        Shape::Truth => json!({ "anyOf": [{ "type": ["boolean", "null"] }, { "enum": TRUTHS }] }),
        Shape::TextMap => json!({ "type": ["object", "null"], "additionalProperties": text() }),
        Shape::PlatformMap => json!({
            "type": "object",
            "propertyNames": { "pattern": PLATFORM },
            "additionalProperties": { "type": ["string", "number", "boolean"] },
        }),
        Shape::List(item) => json!({ "type": ["array", "null"], "items": of(item) }),
        Shape::Map(place) => map(place),
        Shape::Either(shapes) => json!({ "anyOf": shapes.iter().map(of).collect::<Vec<_>>() }),
    }
}

/// Texts that are truth values to us; YAML 1.2 takes them for texts.
const TRUTHS: [&str; 16] =
    ["yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "y", "Y", "n", "N"];

/// Every spelling of a platform.
const PLATFORM: &str = "^([Ll]inux/)?(386|[xX]86|[iI][3-6]86|(amd|AMD)64(/v1)?|[xX]86[_-]64|(arm|ARM)64(/v8)?|\
    aarch64|arm(/v[67])?|armhf|armv[67]l?|loong(arch)?64|ppc64le|powerpc64le|riscv64(gc)?|s390x)$";
