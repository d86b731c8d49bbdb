//! Why a package is packed anew.

use assemble_apk::Oddity;
use assemble_types::{ImagePath, Mode, Owner};

/// Why a package's data section is not a layer as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Packages of format version 3 have no section that is a tar.
    #[error("it is of format version 3, which has no tar in it")]
    Version3,
    /// Nobody asked for the digest of its unpacked data section.
    #[error("the digest of its unpacked data section is not known")]
    NoDiffId,
    /// The section's own form.
    #[error("{0}")]
    Form(Oddity),
    /// It lists the root folder.
    #[error("it lists the root folder, which no layer of the image does")]
    RootFolder,
    /// Everything in the image belongs to root.
    #[error("{path} belongs to {owner} in it, and to root in the image")]
    Owner {
        /// Where.
        path: ImagePath,
        /// As the package has it.
        owner: Owner,
    },
    /// A folder with set-id or sticky bits, which the image does not have.
    #[error("the folder {path} has the mode {mode}, and the image's folders have no set-id or sticky bits")]
    FolderBits {
        /// Where.
        path: ImagePath,
        /// As the package has it.
        mode: Mode,
    },
    /// A folder with extended attributes that the image's folder does not have.
    #[error("the folder {path} has other extended attributes in the image")]
    FolderXattrs {
        /// Where.
        path: ImagePath,
    },
    /// One of the folders on the way is a symbolic link in the image.
    #[error("{path} leads through a symbolic link of the image")]
    ThroughLink {
        /// Where.
        path: ImagePath,
    },
    /// The image does not have it, and what a layer has cannot be taken away again.
    #[error("{path} is not in the image")]
    Missing {
        /// Where.
        path: ImagePath,
    },
    /// A folder in one is something else in the other.
    #[error("{path} is a folder in one and none in the other of package and image")]
    OtherKind {
        /// Where.
        path: ImagePath,
    },
    /// A package below it has the same file, and that one counts; there is too much of that for the top layer.
    #[error("much of it is another package's in the image, which is installed earlier, {path} for one")]
    Overlap {
        /// Where.
        path: ImagePath,
    },
    /// A hard link to what is not in front of it in the package, or is another file in the image; or one whose header does
    /// not say of the file what the file's own says.
    #[error(
        "the hard link {path} leads to another file in the image, or not to an earlier one of the package with its mode and time"
    )]
    HardLink {
        /// Where.
        path: ImagePath,
    },
    /// Much of it is other than in the package, for instance by `paths`.
    #[error("the build changes much of it, {path} for one")]
    Edited {
        /// The largest file that is changed.
        path: ImagePath,
    },
    /// It would do, but larger packages used up the layers.
    #[error("there are no more layers for it within `layering.budget`")]
    Budget,
}
