//! Not shipped: fixed work whose instructions and memory `cargo xtask cost` counts. `assemble-cost inputs DIR` writes what the
//! work is done on; `assemble-cost WORK DIR` does it once, on one thread.

mod inputs;

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use assemble_apk::{
    Checksum, Constraint, Expected, Extras, Keyring, Limits, Package, PackageId, PackageName, Trust, Version,
    open_package_with, read_index,
};
use assemble_layer::{AccountNames, Compression, Layer, diff_id, pack};
use assemble_resolve::{Policy, Repository, Target, graph, solve};
use assemble_rootfs::verbatim::VerbatimPlan;
use assemble_rootfs::{
    ApkoConfig, Body, InstallInput, Installed, Meta, Mutations, Node, PackageIndex, Part, Tree, install,
};
use assemble_types::{Arch, Blob, ImagePath, MemorySpool, Mode, Owner, ReadAt, Spool, Timestamp};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["inputs", folder] => inputs::write(Path::new(folder)),
        [work, folder] => run(work, Path::new(folder)),
        _ => Err("assemble-cost inputs|package|splice|frames|gzip|zstd|unpack|solve|provides|one-layer-few|one-layer-many|package-layers-few|package-layers-many DIR".into()),
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
        "package" => !package(folder, inputs::PACKAGE, false)?.entries.is_empty(),
        "splice" => {
            let package = package(folder, inputs::PACKAGE, false)?;
            let layer = packages_layer(&install_all(&[package])?, Compression::Gzip, &MemorySpool)?;
            layer.copied > layer.uncompressed_size / 4
        }
        "frames" => {
            let package = package(folder, inputs::PACKAGE, false)?;
            let layer = packages_layer(&install_all(&[package])?, Compression::Zstd, &MemorySpool)?;
            layer.size < layer.uncompressed_size
        }
        "gzip" => files_layer(folder, Compression::Gzip)?.copied == 0,
        "zstd" => files_layer(folder, Compression::Zstd)?.copied == 0,
        "unpack" => diff_id(&Blob::from_bytes(std::fs::read(folder.join(inputs::LAYER))?))?.1 > 0,
        "solve" => solved(folder, inputs::INDEX, &inputs::world())? > 100,
        "provides" => solved(folder, inputs::PROVIDES, &["needs".to_owned()])? == inputs::PROVIDED + 2,
        "one-layer-few" => one_layer(folder, inputs::FEW)?,
        "one-layer-many" => one_layer(folder, inputs::MANY)?,
        "package-layers-few" => package_layers(folder, inputs::FEW)?,
        "package-layers-many" => package_layers(folder, inputs::MANY)?,
        _ => return Err(format!("`{work}` is no work that is known").into()),
    };
    if worked { Ok(()) } else { Err(format!("{work} did not do what it is for").into()) }
}

/// Reads a package, and checks every hash in it. Its bytes stay in the file.
fn package(folder: &Path, name: &str, diff_id: bool) -> Result<Package> {
    let file = std::fs::File::open(folder.join(name))?;
    let size = file.metadata()?.len();
    let checksum = std::fs::read(folder.join(format!("{name}{}", inputs::CHECKSUM)))?;
    let id = PackageId { name: PackageName::parse("app")?, version: Version::parse("1-r0")? };
    let checksum: [u8; 20] = checksum.try_into().map_err(|_| "a checksum of another length")?;
    let expected = Expected { id, checksum: Checksum::from_bytes(checksum) };
    let packed = Blob::new(Arc::new(Bytes(file)), size);
    let extras = Extras { diff_id, keep: None, marks: None };
    Ok(open_package_with(&packed, &expected, &Limits::default(), &MemorySpool, extras)?)
}

/// A file that is read where it is.
#[derive(Debug)]
struct Bytes(std::fs::File);

impl ReadAt for Bytes {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.0, buf, offset)
    }
}

/// Installs packages.
fn install_all(packages: &[Package]) -> Result<Installed> {
    Ok(install(&InstallInput {
        arch: Arch::X86_64,
        packages,
        world: vec!["app".into()],
        build_repositories: Vec::new(),
        repositories: Vec::new(),
        keys: Vec::new(),
        config: ApkoConfig::default(),
        mutations: Mutations::default(),
        base: None,
        source_date_epoch: Some(Timestamp::default()),
        build_date: None,
    })?)
}

/// Packs the tree of packages.
fn packages_layer(installed: &Installed, compression: Compression, spool: &dyn Spool) -> Result<Layer> {
    let entries = installed.tree.layer(Part::Packages);
    let names = AccountNames::from_tree(&installed.tree)?;
    Ok(pack(&entries, &names, compression, NonZeroUsize::MIN, spool)?)
}

/// Packages of small files.
fn small_packages(folder: &Path, count: usize) -> Result<Vec<Package>> {
    let packages: Vec<Package> =
        (0..count).map(|number| package(folder, &inputs::small(number), true)).collect::<Result<_>>()?;
    let entries: usize = packages.iter().map(|package| package.entries.len()).sum();
    if entries == count * inputs::ENTRIES { Ok(packages) } else { Err("entries are missing".into()) }
}

/// Tells how many entries there are, and how many bytes of the database of installed packages, which is a content that is
/// made in memory.
fn tell_contents(installed: &Installed, count: usize) {
    use std::io::Write as _;
    let records = (0_u32..).take(count).map(|package| installed.records.get(PackageIndex(package)).len());
    let (entries, contents) = (count * inputs::ENTRIES, records.sum::<usize>());
    let _ = writeln!(std::io::stdout(), "entries {entries} contents {contents}");
}

/// Packages of small files as one layer in a file, as a build makes it, for the memory that they take.
fn one_layer(folder: &Path, count: usize) -> Result<bool> {
    let packages = small_packages(folder, count)?;
    let installed = install_all(&packages)?;
    drop(packages);
    tell_contents(&installed, count);
    Ok(packages_layer(&installed, Compression::Gzip, &*assemble_fetch::spool_in(folder))?.size > 0)
}

/// What is decided of packages that are layers as they are, and the layer on top of them in a file, as a build makes it, for
/// the memory that these take.
fn package_layers(folder: &Path, count: usize) -> Result<bool> {
    let packages = small_packages(folder, count)?;
    let installed = install_all(&packages)?;
    let plan = VerbatimPlan::of(&installed.tree, &packages, 100);
    drop(packages);
    tell_contents(&installed, count);
    let top = plan.upper(&installed.tree).top;
    let spool = assemble_fetch::spool_in(folder);
    let layer = pack(&top, &AccountNames::none(), Compression::Gzip, NonZeroUsize::MIN, &*spool)?;
    Ok(layer.size > 0 && plan.verbatim().count() == count)
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

/// Reads an index, chooses packages, and finds out who needs whom; gives how many there are.
fn solved(folder: &Path, index: &str, world: &[String]) -> Result<usize> {
    let packed = std::fs::read(folder.join(index))?;
    let index = Arc::new(read_index(&packed, &Keyring::default(), Trust::AllowUntrusted)?);
    let repositories = [Repository { name: "cost".into(), pin: None, index, installed: false }];
    let world: Vec<Constraint> =
        world.iter().map(|name| Constraint::parse(name)).collect::<std::result::Result<_, _>>()?;
    let target = Target { arch: Arch::X86_64, repositories: &repositories };
    let solutions = solve(&world, &[target], Policy::Apk)?;
    let solution = solutions.first().ok_or("no solution for the only target")?;
    let graph = graph(&world, solution, &repositories, Policy::Apk);
    Ok(graph.needs.len())
}
