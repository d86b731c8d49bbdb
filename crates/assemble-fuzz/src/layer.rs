//! The reader of layers, whoever made them.

use assemble_layer::{
    EntryKind, LayerEntry, LayerError, ReadLimits, first_difference, read_file, read_layer_within,
};
use assemble_types::{Blob, ImagePath};

/// Small, so that bombs are refused at once.
const LIMITS: ReadLimits = ReadLimits { unpacked: 4 << 20, entries: 2000 };

fn all(blob: &Blob) -> Result<Vec<(LayerEntry, Vec<u8>)>, LayerError> {
    let mut reader = read_layer_within(blob, LIMITS)?;
    let mut out = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let content = reader.content(LIMITS.unpacked)?;
        out.push((entry, content));
    }
    Ok(out)
}

/// Any bytes as a layer.
pub(crate) fn read(input: &[u8]) {
    let blob = Blob::from_bytes(input);
    let entries = match all(&blob) {
        Ok(entries) => entries,
        Err(error) => return assert!(!error.to_string().chars().any(char::is_control), "{error:?}"),
    };
    let total: usize = entries.iter().map(|(_, content)| content.len()).sum();
    assert!(total as u64 <= LIMITS.unpacked, "{total} bytes got past the limit");
    for (entry, content) in &entries {
        assert_eq!(entry.size, content.len() as u64);
        assert!(entry.path.components().all(|part| part != b".." && !part.is_empty()), "{}", entry.path);
        let named = entries.iter().filter(|(other, _)| other.path == entry.path).count();
        if entry.kind == EntryKind::File && named == 1 {
            let found = read_file(&blob, &entry.path, LIMITS.unpacked).expect("the layer was read before");
            assert_eq!(found.as_ref(), Some(content), "{}", entry.path);
        }
    }
    let nowhere = ImagePath::parse("there/is/no/such/file/in/any/corpus").expect("a plain path");
    if !entries.iter().any(|(entry, _)| entry.path == nowhere) {
        assert_eq!(read_file(&blob, &nowhere, 1).expect("the layer was read before"), None);
    }
    assert_eq!(first_difference(&blob, &blob).expect("the layer was read before"), None);
}
