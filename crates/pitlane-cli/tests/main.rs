//! The command as it is built, against real redis-servers and nodes that fill them.

mod clears;
mod down;
mod invalidations;
mod keys;
mod run;
mod site;
mod usage;
