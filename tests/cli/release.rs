//! The tarball of a release: `.ci/pack-release`, and the names that `cargo binstall` looks for.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::tempdir;

/// The value of a key in Cargo.toml.
fn metadata(key: &str) -> String {
    let manifest = include_str!("../../Cargo.toml");
    let line = manifest.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

/// A template of binstall with the values for this package.
fn filled(template: &str) -> String {
    [
        ("name", "warpframe"),
        ("bin", "warpframe"),
        ("version", env!("CARGO_PKG_VERSION")),
        ("target", "some-target"),
        ("binary-ext", ""),
    ]
    .iter()
    .fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{ {name} }}"), value))
}

#[test]
#[cfg(target_os = "linux")]
fn a_release_has_what_binstall_looks_for() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempdir().unwrap();
    // Packing the binary of a test takes long, as it has symbols: a script that runs it.
    let binary = folder.path().join("warpframe");
    fs::write(&binary, format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_warpframe"))).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/pack-release");
    run(script.to_str().unwrap(), &[binary.to_str().unwrap(), "some-target", "dist"]);

    let url = filled(&metadata("pkg-url"));
    let (_, tarball) = url.rsplit_once('/').unwrap();
    let mut files: Vec<_> = fs::read_dir(folder.path().join("dist"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, [tarball.to_owned(), format!("{tarball}.sha256")]);
    let checksum = run("sh", &["-c", &format!("cd dist && sha256sum --check {tarball}.sha256")]);
    assert_eq!(checksum.trim(), format!("{tarball}: OK"));
    let packed = run("tar", &["-tzf", &format!("dist/{tarball}")]);
    let (root, _) = tarball.split_once(".tar.gz").unwrap();
    let expected = [
        filled(&metadata("bin-dir")),
        format!("{root}/LICENSE"),
        format!("{root}/completions/warpframe.zsh"),
        format!("{root}/man/warpframe-sql.1"),
        format!("{root}/docs/files.md"),
        format!("{root}/fonts/LICENSE"),
    ];
    for file in expected {
        assert!(packed.lines().any(|line| line == file), "{file} is not in {packed}");
    }
    run("tar", &["-xzf", &format!("dist/{tarball}")]);
    let version = run(&filled(&metadata("bin-dir")), &["-V"]);
    assert_eq!(version.trim(), format!("warpframe {}", env!("CARGO_PKG_VERSION")));
}
