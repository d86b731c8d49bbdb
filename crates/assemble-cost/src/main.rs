//! Not shipped: fixed work whose instructions `cargo xtask cost` counts. `assemble-cost inputs DIR` writes what the work is
//! done on; `assemble-cost WORK DIR` does it once, on one thread.

mod inputs;

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use assemble_apk::{
    Checksum, Constraint, Expected, Keyring, Limits, Package, PackageId, PackageName, Trust, Version,
    open_package, read_index,
};
use assemble_layer::{AccountNames, Compression, Layer, diff_id, pack};
use assemble_resolve::{Policy, Repository, Target, solve};
use assemble_rootfs::{ApkoConfig, Body, InstallInput, Meta, Mutations, Node, Part, Tree, install};
use assemble_types::{Arch, Blob, ImagePath, MemorySpool, Mode, Owner, Timestamp};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["inputs", folder] => inputs::write(Path::new(folder)),
        [work, folder] => run(work, Path::new(folder)),
        _ => Err("assemble-cost inputs|package|splice|gzip|zstd|unpack|solve DIR".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "assemble-cost: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does one sort of work. What comes out is looked at, so that none of it can be left out.
fn run(work: &str, folder: &Path) -> Result<()> {
    let worked = match work {
        "package" => !package(folder)?.entries.is_empty(),
        "splice" => {
            let layer = packages_layer(package(folder)?, Compression::Gzip)?;
            layer.copied > layer.uncompressed_size / 4
        }
        "gzip" => files_layer(folder, Compression::Gzip)?.copied == 0,
        "zstd" => files_layer(folder, Compression::Zstd)?.copied == 0,
        "unpack" => diff_id(&Blob::from_bytes(std::fs::read(folder.join(inputs::LAYER))?))?.1 > 0,
        "solve" => solved(folder)? > 100,
        _ => return Err(format!("`{work}` is no work that is known").into()),
    };
    if worked { Ok(()) } else { Err(format!("{work} did not do what it is for").into()) }
}

/// Reads a package, and checks every hash in it.
fn package(folder: &Path) -> Result<Package> {
    let bytes = std::fs::read(folder.join(inputs::PACKAGE))?;
    let checksum = std::fs::read(folder.join(inputs::CHECKSUM))?;
    let id = PackageId { name: PackageName::parse("app")?, version: Version::parse("1-r0")? };
    let checksum: [u8; 20] = checksum.try_into().map_err(|_| "a checksum of another length")?;
    let expected = Expected { id, checksum: Checksum::from_bytes(checksum) };
    Ok(open_package(&Blob::from_bytes(bytes), &expected, &Limits::default(), &MemorySpool)?)
}

/// Installs a package and packs the tree.
fn packages_layer(package: Package, compression: Compression) -> Result<Layer> {
    let packages = [package];
    let installed = install(&InstallInput {
        arch: Arch::X86_64,
        packages: &packages,
        world: vec!["app".into()],
        build_repositories: Vec::new(),
        repositories: Vec::new(),
        keys: Vec::new(),
        config: ApkoConfig::default(),
        mutations: Mutations::default(),
        base: None,
        source_date_epoch: Some(Timestamp::default()),
        build_date: None,
    })?;
    let entries = installed.tree.layer(Part::Packages);
    let names = AccountNames::from_tree(&installed.tree)?;
    Ok(pack(&entries, &names, compression, NonZeroUsize::MIN, &MemorySpool)?)
}

/// Packs files that are compressed nowhere yet.
fn files_layer(folder: &Path, compression: Compression) -> Result<Layer> {
    let bytes = std::fs::read(folder.join(inputs::FILES))?;
    let mut tree = Tree::new();
    let meta = Meta { mode: Mode::FILE, owner: Owner::ROOT, mtime: 0 };
    for (number, content) in inputs::cut(&bytes).enumerate() {
        let path = ImagePath::parse(format!("f{number:04}"))?;
        let id = tree.add(Node::new(meta, Body::File(Blob::from_bytes(content))));
        tree.insert(&path, id, Part::Files, None)?;
    }
    let entries = tree.layer(Part::Files);
    Ok(pack(&entries, &AccountNames::none(), compression, NonZeroUsize::MIN, &MemorySpool)?)
}

/// Reads an index and chooses packages; gives how many.
fn solved(folder: &Path) -> Result<usize> {
    let packed = std::fs::read(folder.join(inputs::INDEX))?;
    let index = Arc::new(read_index(&packed, &Keyring::default(), Trust::AllowUntrusted)?);
    let repositories = [Repository { name: "cost".into(), pin: None, index, installed: false }];
    let world: Vec<Constraint> =
        inputs::world().iter().map(|name| Constraint::parse(name)).collect::<std::result::Result<_, _>>()?;
    let target = Target { arch: Arch::X86_64, repositories: &repositories };
    let solutions = solve(&world, &[target], Policy::Apk)?;
    Ok(solutions.iter().map(|solution| solution.packages.len()).sum())
}
