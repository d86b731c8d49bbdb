//! Trees written as text.

use assemble_rootfs::{Body, Meta, Node, Part, Tree};
use assemble_types::{Blob, ImagePath, Mode, Owner};

pub(crate) fn path(raw: &str) -> ImagePath {
    ImagePath::parse(raw).unwrap()
}

/// Puts a body at a path, as a package would; parents are made as needed.
pub(crate) fn put(tree: &mut Tree, at: &str, meta: Meta, body: Body) {
    let at = path(at);
    let parents = Meta { mode: Mode::DIRECTORY, owner: Owner::ROOT, mtime: 0 };
    let (_, folder) = tree.make_directories(&at.parent().unwrap(), parents, Part::Packages).unwrap();
    let real = folder.join(at.file_name().unwrap()).unwrap();
    if let (Body::Directory(_), Some(id)) = (&body, tree.get(&real)) {
        tree.node_mut(id).meta = meta;
        return;
    }
    let id = tree.add(Node::new(meta, body));
    tree.insert(&real, id, Part::Packages, None).unwrap();
}

fn meta(mode: &str, owner: &str) -> Meta {
    let (uid, gid) = owner.split_once(':').unwrap();
    let owner = Owner { uid: uid.parse().unwrap(), gid: gid.parse().unwrap() };
    Meta { mode: Mode::from_bits(u32::from_str_radix(mode, 8).unwrap()), owner, mtime: 0 }
}

/// One name a line: `d MODE OWNER PATH`, `f MODE OWNER PATH TEXT`, `l PATH -> TARGET`, `c PATH`. In a text, `\n`, `\r`
/// and `\t` are escapes.
pub(crate) fn tree(text: &str) -> Tree {
    tree_with(text, |_| None)
}

/// The same, where a text such as `{name}` is replaced by what `content` gives for `name`.
pub(crate) fn tree_with(text: &str, content: impl Fn(&str) -> Option<Vec<u8>>) -> Tree {
    let mut tree = Tree::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.splitn(5, ' ').collect();
        match *words {
            ["d", mode, owner, at] => {
                put(&mut tree, at, meta(mode, owner), Node::directory(meta(mode, owner)).body);
            }
            ["f", mode, owner, at, ref rest @ ..] => {
                let text = rest.first().copied().unwrap_or_default();
                let name = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
                let bytes = name.and_then(&content).unwrap_or_else(|| unescape(text));
                put(&mut tree, at, meta(mode, owner), Body::File(Blob::from_bytes(bytes)));
            }
            ["l", at, "->", target] => {
                put(&mut tree, at, meta("777", "0:0"), Body::Symlink(target.as_bytes().into()));
            }
            ["c", at] => put(&mut tree, at, meta("666", "0:0"), Body::CharDevice { major: 1, minor: 3 }),
            _ => panic!("no line of a tree: {line}"),
        }
    }
    tree
}

fn unescape(text: &str) -> Vec<u8> {
    text.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t").into_bytes()
}
