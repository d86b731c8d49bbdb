//! The golden digests on processors of other kinds, emulated: compressors choose their loops by what the processor has.

use std::path::Path;
use std::process::{Command, Stdio};

/// Debian's `qemu-user-static` has it.
const QEMU: &str = "/usr/bin/qemu-x86_64-static";

/// Without SSE4.2; with it, but without AVX; with AVX2 and BMI2; with all that is emulated.
const MODELS: [&str; 4] = ["qemu64", "Nehalem", "Haswell", "max"];

/// Set in the emulated processes, which are to do nothing but compare.
const INSIDE: &str = "ASSEMBLE_TEST_EMULATED";

/// Whether this process is one of those.
pub(crate) fn is_emulated() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// This very program is run again, once for each model. `cargo xtask processors` does the same for another architecture.
#[test]
fn digests_do_not_depend_on_the_processor() {
    if is_emulated() {
        return;
    }
    if cfg!(not(target_arch = "x86_64")) || !Path::new(QEMU).is_file() {
        eprintln!(
            "SKIPPED: digests_do_not_depend_on_the_processor: {QEMU} is not installed (qemu-user-static)"
        );
        return;
    }
    let program = std::env::current_exe().unwrap();
    let emulated: Vec<_> = MODELS
        .into_iter()
        .map(|model| {
            let mut command = Command::new(QEMU);
            command.args(["-cpu", model]).arg(&program).args(["golden::", "--test-threads=1"]);
            command.env(INSIDE, "1").env_remove("UPDATE_EXPECT");
            (model, command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        })
        .collect();
    for (model, process) in emulated {
        let output = process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{model}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
        // A filter that fits nothing would pass, too.
        assert!(said.contains("3 passed"), "{model}: {said}");
    }
}

/// What the models claim to have is what programs see; otherwise they would all be the same.
#[test]
fn emulated_processors_differ() {
    if is_emulated() || cfg!(not(target_arch = "x86_64")) || !Path::new(QEMU).is_file() {
        return;
    }
    let seen = |model: &str| {
        let mut command = Command::new(QEMU);
        command.args(["-cpu", model]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", "--nocapture", "processors::what_this_processor_has"]);
        let output = command.env(INSIDE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = said.lines().find_map(|line| line.split_once("this processor has ")).map(|(_, rest)| rest);
        line.unwrap_or_else(|| panic!("{model}: {said}")).to_owned()
    };
    assert_eq!(MODELS.map(seen), ["sse2", "sse4.2", "avx2", "avx2"]);
}

#[test]
fn what_this_processor_has() {
    #[cfg(target_arch = "x86_64")]
    let has = match (std::is_x86_feature_detected!("avx2"), std::is_x86_feature_detected!("sse4.2")) {
        (true, _) => "avx2",
        (false, true) => "sse4.2",
        (false, false) => "sse2",
    };
    #[cfg(not(target_arch = "x86_64"))]
    let has = std::env::consts::ARCH;
    println!("this processor has {has}");
}
