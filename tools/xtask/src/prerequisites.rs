//! The programs that the tests start, installed where they are missing.

use std::env;
use std::path::Path;

use crate::failure::Failure;
use crate::step::Step;

/// A program that some test starts, and the Debian package that brings it.
#[derive(Clone, Copy, Debug)]
struct Need {
    program: &'static str,
    package: &'static str,
}

const PROMETHEUS: &str = "prometheus";

/// Packages can't be asked to leave their servers alone, and this one listens to everybody.
const SERVER: &str = "package prometheus brings a server beside promtool: where systemd runs it is \
    started, on port 9090 of all addresses. No test needs it: `systemctl disable --now prometheus` stops it";

/// Every program that a test starts belongs here: a test never skips itself
/// because one is missing.
const NEEDS: &[Need] = &[
    Need {
        program: "redis-server",
        package: "redis-server",
    },
    Need {
        program: "initdb",
        package: "postgresql",
    },
    // What reads the alerts that come with the manual. Of the package nothing else is used.
    Need {
        program: "promtool",
        package: PROMETHEUS,
    },
];

/// Where Debian keeps the programs of a PostgreSQL server, by version and off the PATH.
const POSTGRES: &str = "/usr/lib/postgresql";

/// libFuzzer is C++; the package brings its library too. Only who fuzzes needs it.
const FUZZING: &[Need] = &[Need {
    program: "g++",
    package: "g++",
}];

/// Only who walks the dashboard needs these.
const BROWSING: &[Need] = &[
    Need {
        program: "redis-server",
        package: "redis-server",
    },
    Need {
        program: "chromium",
        package: "chromium",
    },
    Need {
        program: "node",
        package: "nodejs",
    },
    Need {
        program: "npm",
        package: "npm",
    },
];

/// Makes sure that all that tests start is there, or says what is not.
pub(crate) fn install() -> Result<(), Failure> {
    install_all(NEEDS)
}

/// The same for what `fuzz` compiles with.
pub(crate) fn install_for_fuzzing() -> Result<(), Failure> {
    install_all(FUZZING)
}

/// The same for what `browser` walks with.
pub(crate) fn install_for_browsing() -> Result<(), Failure> {
    install_all(BROWSING)
}

fn install_all(needs: &[Need]) -> Result<(), Failure> {
    let missing = missing(needs, is_installed);
    if missing.is_empty() {
        println!("nothing to install");
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let machine = Machine::this();
    let installer = machine.installer(&packages).map_err(Failure::failed)?;
    println!("installing {}", packages.join(", "));
    if packages.contains(&PROMETHEUS) {
        println!("{SERVER}");
    }
    for step in installer {
        step.run()?;
    }
    confirm(&missing)
}

pub(crate) fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn is_installed(program: &str) -> bool {
    let versions = std::fs::read_dir(POSTGRES).into_iter().flatten();
    let mut folders = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    is_on_path(program) || folders.any(|folder| folder.join(program).is_file())
}

fn missing(needs: &[Need], is_there: impl Fn(&str) -> bool) -> Vec<Need> {
    let absent = needs.iter().filter(|need| !is_there(need.program));
    absent.copied().collect()
}

fn confirm(needs: &[Need]) -> Result<(), Failure> {
    match missing(needs, is_installed).first() {
        None => Ok(()),
        Some(need) => Err(Failure::failed(format!(
            "package {} is installed, and `{}` is still nowhere to be found",
            need.package, need.program
        ))),
    }
}

/// What decides whether packages can be installed, and how.
#[derive(Debug)]
struct Machine {
    has_apt: bool,
    has_sudo: bool,
    is_root: bool,
}

impl Machine {
    fn this() -> Self {
        Self {
            has_apt: is_on_path("apt-get"),
            has_sudo: is_on_path("sudo"),
            is_root: is_root(),
        }
    }

    fn installer(&self, packages: &[&str]) -> Result<Vec<Step>, String> {
        let wanted = packages.join(", ");
        if !self.has_apt {
            return Err(format!(
                "{wanted} is needed, and there is no apt-get to install it with: install it by hand"
            ));
        }
        if !self.is_root && !self.has_sudo {
            return Err(format!(
                "{wanted} is needed: run this as root, or install sudo, or run `apt-get install {wanted}`"
            ));
        }
        let update = self.apt("update --quiet");
        let install = self.apt("install --yes --quiet --no-install-recommends");
        Ok(vec![update, install.add_arguments(packages)])
    }

    /// The variable goes through `env`, because sudo drops the caller's own.
    fn apt(&self, line: &str) -> Step {
        let line = format!("DEBIAN_FRONTEND=noninteractive apt-get {line}");
        if self.is_root {
            Step::program("env", &line)
        } else {
            Step::program("sudo", &format!("env {line}"))
        }
    }
}

/// A process belongs to whoever owns its entry in `/proc`; the standard library
/// has no call that asks.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    Path::new("/proc/self")
        .metadata()
        .is_ok_and(|entry| entry.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REDIS: Need = Need {
        program: "redis-server",
        package: "redis",
    };

    #[track_caller]
    fn check(machine: &Machine, expected: Result<&str, &str>) {
        let lines = machine.installer(&["redis", "curl"]).map(|steps| {
            let lines: Vec<String> = steps.iter().map(Step::line).collect();
            lines.join("; ")
        });
        match (lines, expected) {
            (Ok(lines), Ok(expected)) => assert_eq!(lines, expected),
            (Err(said), Err(part)) => assert!(said.contains(part), "{said}"),
            (got, _) => panic!("{machine:?} gave {got:?}"),
        }
    }

    #[test]
    fn only_what_is_absent_is_installed() {
        assert!(missing(&[REDIS], |_| true).is_empty());
        let absent = missing(&[REDIS], |program| program == "curl");
        assert_eq!(absent.len(), 1);
    }

    #[test]
    fn the_installer_follows_the_machine() {
        let machine = |has_apt, has_sudo, is_root| Machine {
            has_apt,
            has_sudo,
            is_root,
        };
        let as_root = "env DEBIAN_FRONTEND=noninteractive apt-get update --quiet; \
            env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet \
            --no-install-recommends redis curl";
        let with_sudo = as_root.replace("env ", "sudo env ");
        check(&machine(true, true, true), Ok(as_root));
        check(&machine(true, false, true), Ok(as_root));
        check(&machine(true, true, false), Ok(&with_sudo));
        check(&machine(true, false, false), Err("run this as root"));
        check(&machine(false, true, true), Err("there is no apt-get"));
    }

    #[test]
    fn a_package_without_its_program_is_reported() {
        let absent = Need {
            program: "no-such-program-anywhere",
            package: "nothing",
        };
        let text = confirm(&[absent]).expect_err("it is absent").to_string();
        assert!(text.contains("still nowhere to be found"), "{text}");
        assert!(confirm(&[]).is_ok());
    }
}
