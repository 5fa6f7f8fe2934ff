//! Runs schemathesis, and takes what it finds for a failure.

use std::{
    fs::{self, File},
    hash::{BuildHasher as _, RandomState},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{report::Report, town::Town};

/// How schemathesis is run, whoever calls.
const SETTINGS: &str = include_str!("schemathesis.toml");
const HOOKS: &str = include_str!("hooks.py");

/// How long one run may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs it against a town in the name of `token`, or as the settings say where there is none, with
/// these settings and flags more. Whatever it finds fails the test.
pub fn schemathesis(
    town: &Town,
    name: &str,
    token: Option<&str>,
    settings: &str,
    flags: &[&str],
) -> Report {
    let folder = town.folder();
    fs::write(folder.join("hooks.py"), HOOKS).unwrap();
    fs::write(folder.join("schemathesis.toml"), format!("{SETTINGS}\n{settings}")).unwrap();

    let (seed, said) = (seed(), folder.join(format!("{name}.out")));
    let report = folder.join(format!("{name}.ndjson"));
    let mut command = Command::new(program());
    command
        .args(["run", "openapi.json", "--url", &town.process.base, "--no-color"])
        .args(["--seed", &seed, "--report", "ndjson", "--report-ndjson-path"])
        .arg(&report)
        .args(flags)
        // What this shell has set is not for the test.
        .env_remove("PYTHONPATH")
        .env("NO_PROXY", "*")
        .env("COLUMNS", "100")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(File::create(&said).unwrap())
        .stderr(Stdio::inherit());
    if let Some(token) = token {
        command.arg("--header").arg(format!("Authorization: Bearer {token}"));
    }
    let begun = Instant::now();
    let found_nothing = ends_well(command);
    let said = fs::read_to_string(said).unwrap();
    println!("schemathesis as {name}: SCHEMATHESIS_SEED={seed}, {:.1?}", begun.elapsed());
    assert!(
        found_nothing,
        "schemathesis as {name} finds something:\n{said}\n{}",
        town.process.log()
    );
    Report::read(&report)
}

/// Settings by which the first of these calls, and the other is asked to see what the first sees.
pub fn people(town: &Town, people: &[(&str, &str)]) -> String {
    let list = people.iter().map(|(name, token)| {
        let header = json!({ "name": "Authorization", "value": format!("Bearer {token}") });
        json!({ "name": name, "fixedHeaders": [header] })
    });
    let list: Vec<_> = list.collect();
    fs::write(town.folder().join("people.json"), json!({ "auth": list }).to_string()).unwrap();
    let names: Vec<_> = people.iter().map(|(name, _)| *name).collect();
    format!("[auth.wfc]\npath = \"people.json\"\nuser = \"{}\"\npeers = {names:?}\n", names[0])
}

fn program() -> std::path::PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let program = target.join("schemathesis/bin/schemathesis");
    assert!(
        program.exists(),
        "there is no {}: run tests/run, which installs it, once",
        program.display()
    );
    program
}

fn seed() -> String {
    let random = || RandomState::new().hash_one(()).to_string();
    std::env::var("SCHEMATHESIS_SEED").unwrap_or_else(|_| random())
}

fn ends_well(mut command: Command) -> bool {
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
