//! What a shell and `man` want to know.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Output;

pub(crate) fn complete(output: &Output, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "pitlane", &mut script);
    output.bytes(&script)
}

pub(crate) fn manual(output: &Output, wanted: Option<&str>) -> Result<(), Failure> {
    let mut all = Arguments::command();
    // Their pages are called pitlane-clear and so on.
    all.build();
    let command = match wanted {
        None => all,
        Some(name) => {
            let found = all.find_subcommand(name).cloned();
            found.ok_or_else(|| Failure::usage(format!("there is no command {name}")))?
        }
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    output.bytes(&page)
}
