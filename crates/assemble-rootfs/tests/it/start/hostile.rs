//! Files made to crash or to hold up whoever reads them.

use assemble_rootfs::{ElfIdentity, check_start, elf_platform};
use assemble_testkit::FakeElf;
use assemble_types::{Arch, Blob};

use super::{GLIBC, GLIBC_TREE, MUSL_TREE, content, render, request};
use crate::trees::tree_with;

/// A file whose header is at its start and whose other bytes are counted.
#[derive(Debug)]
struct Huge {
    head: Vec<u8>,
    read: std::sync::atomic::AtomicU64,
}

impl assemble_types::ReadAt for Huge {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
        buf.fill(0);
        if let Some(rest) = usize::try_from(offset).ok().and_then(|at| self.head.get(at..)) {
            let n = rest.len().min(buf.len());
            buf[..n].copy_from_slice(&rest[..n]);
        }
        self.read.fetch_add(buf.len() as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(buf.len())
    }
}

#[test]
fn a_large_file_is_not_read_whole() {
    let head = FakeElf::new(Arch::X86_64).interpreter(GLIBC).needed("libssl.so.3").build();
    let huge = std::sync::Arc::new(Huge { head, read: 0.into() });
    let blob = Blob::new(huge.clone(), 1 << 31);
    assert!(matches!(elf_platform(&blob), ElfIdentity::Elf { is_static: false, .. }));
    let read = huge.read.load(std::sync::atomic::Ordering::Relaxed);
    assert!(read < 64 << 10, "{read} bytes were read");
}

#[test]
fn a_header_cannot_ask_for_much_memory() {
    let mut head = FakeElf::new(Arch::X86_64).interpreter(GLIBC).build();
    // The second segment is PT_INTERP; its size is at byte 32 of the entry.
    head[64 + 56 + 32..64 + 56 + 40].copy_from_slice(&(1_u64 << 31).to_le_bytes());
    let huge = std::sync::Arc::new(Huge { head, read: 0.into() });
    assert_eq!(elf_platform(&Blob::new(huge.clone(), 1 << 32)), ElfIdentity::Other);
    assert!(huge.read.load(std::sync::atomic::Ordering::Relaxed) < 64 << 10);
}

/// Numbers that look random and are always the same.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }
}

#[test]
fn damaged_programs_and_libraries_are_survived() {
    let mut numbers = Numbers(7);
    let names =
        ["glibc-ssl", "musl-ssl", "rpath", "runpath", "static-pie", "armv7", "libssl-crypto", "cache"];
    let mut refused = 0;
    for round in 0..5000 {
        let name = names[round % names.len()];
        let mut bytes = content(name).unwrap();
        for _ in 0..=numbers.below(4) {
            let at = numbers.below(bytes.len());
            bytes[at] = match numbers.below(4) {
                0 => 0,
                1 => 0xff,
                2 => bytes[at] ^ (1 << numbers.below(8)),
                _ => u8::try_from(numbers.below(256)).unwrap(),
            };
        }
        if numbers.below(8) == 0 {
            bytes.truncate(numbers.below(bytes.len()));
        }
        let place = match name {
            "cache" => "f 0755 0:0 /app {glibc-ssl}\nf 0644 0:0 /etc/ld.so.cache {damaged}",
            "libssl-crypto" => "f 0755 0:0 /app {glibc-ssl}\nf 0644 0:0 /lib/libssl.so.3 {damaged}",
            _ => "f 0755 0:0 /app {damaged}\nf 0644 0:0 /lib/libssl.so.3 {libssl}",
        };
        let text = format!("{GLIBC_TREE}\n{MUSL_TREE}\n{place}");
        let tree =
            tree_with(&text, |name| if name == "damaged" { Some(bytes.clone()) } else { content(name) });
        let problems = check_start(&tree, &request("/app"));
        refused += usize::from(!problems.is_empty());
        for problem in &problems {
            assert!(!render(problem).contains(['\x1b', '\r', '\0']));
        }
        elf_platform(&Blob::from_bytes(bytes));
    }
    assert!(refused > 1000, "only {refused} were refused");
}

#[test]
fn a_library_path_made_to_keep_us_busy_ends() {
    let folders: Vec<String> = (0..600).map(|n| format!("/x{n}")).collect();
    let mut elf = FakeElf::new(Arch::X86_64).interpreter(GLIBC).rpath(&folders.join(":"));
    for n in 0..3000 {
        elf = elf.needed(&format!("lib{n}.so"));
    }
    let bytes = elf.build();
    let text = format!("{GLIBC_TREE}\nf 0755 0:0 /app {{busy}}");
    let tree = tree_with(&text, |name| if name == "busy" { Some(bytes.clone()) } else { content(name) });
    let problems = check_start(&tree, &request("/app"));
    assert!((1000..3000).contains(&problems.len()), "{}", problems.len());
}
