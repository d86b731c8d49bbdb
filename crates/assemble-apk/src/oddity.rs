//! Why a data section cannot be a layer as it is, by its own form.

use assemble_types::ImagePath;

use crate::tarball::{Item, ItemKind};

/// Why whoever unpacks a data section as a layer, by the rules of image layers, would not get the package's entries.
/// Whether these entries are the image's is for others to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Oddity {
    /// Hidden files at its top, which are no part of what is installed.
    #[error("it has hidden files at its top, which are not installed")]
    TopFile,
    /// A path that is listed more than once.
    #[error("it lists a path twice")]
    Twice,
    /// A time that is no whole second; it is rounded when the package is installed.
    #[error("it has times that are no whole seconds")]
    FractionalTime,
    /// Extended attributes on a link, which runtimes treat differently.
    #[error("it has extended attributes on a link")]
    LinkXattrs,
    /// A path or hard link whose text is not the path.
    #[error("it spells a path in an unusual way")]
    Spelling,
    /// Defaults for all entries, which take no effect here, but may elsewhere.
    #[error("it has a global extended header")]
    GlobalHeader,
    /// No empty blocks at the end.
    #[error("it has no end mark")]
    NoEnd,
}

impl Oddity {
    /// Each of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 7] = [
        Self::TopFile,
        Self::Twice,
        Self::FractionalTime,
        Self::LinkXattrs,
        Self::Spelling,
        Self::GlobalHeader,
        Self::NoEnd,
    ];

    /// Of all its entries only one is looked at.
    pub(crate) fn of(item: &Item, path: &ImagePath) -> Option<Self> {
        let mut name = item.name.as_slice();
        if item.kind == ItemKind::Directory {
            name = name.strip_suffix(b"/").unwrap_or(name);
        }
        let link_spelled_oddly = || {
            item.kind == ItemKind::HardLink
                && ImagePath::parse(&item.link).is_ok_and(|path| path.as_bytes() != item.link)
        };
        if name != path.as_bytes() || link_spelled_oddly() {
            return Some(Self::Spelling);
        }
        if item.attributes.fractional_time {
            return Some(Self::FractionalTime);
        }
        let is_link = matches!(item.kind, ItemKind::Symlink | ItemKind::HardLink);
        (is_link && !item.attributes.xattrs.is_empty()).then_some(Self::LinkXattrs)
    }
}
