//! The command as it is built, against real redis-servers and nodes that fill them.

mod clears;
mod down;
mod explains;
mod invalidations;
mod keys;
mod logs;
mod run;
mod schema;
mod schemas;
mod site;
mod stats;
mod usage;
mod warms;
