//! What libFuzzer's log says in the end.

use std::fmt;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    executions: u64,
    /// Edges reached by the corpus it began with, and in the end.
    edges: (u64, u64),
    /// Edges with how often they were passed.
    features: (u64, u64),
    added: u64,
}

impl Report {
    pub(super) fn read(log: &str) -> Self {
        let mut report = Self::default();
        for line in log.lines() {
            if let Some(edges) = after(line, "cov: ") {
                let features = after(line, "ft: ").unwrap_or_default();
                if line.contains("INITED") {
                    report.edges.0 = edges;
                    report.features.0 = features;
                }
                report.edges.1 = edges;
                report.features.1 = features;
            }
            if let Some(count) = after(line, "stat::number_of_executed_units:") {
                report.executions = count;
            }
            if let Some(count) = after(line, "stat::new_units_added:") {
                report.added = count;
            }
        }
        report
    }
}

/// The number behind these words.
fn after(line: &str, words: &str) -> Option<u64> {
    let (_, rest) = line.split_once(words)?;
    rest.split_whitespace().next()?.parse().ok()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            executions,
            edges,
            features,
            added,
        } = self;
        write!(
            f,
            "{executions} executions; edges {} to {}, features {} to {}; {added} inputs reached \
             something new",
            edges.0, edges.1, features.0, features.1
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_last_coverage_are_told() {
        let log = "INFO: seed corpus: files: 8\n\
            #9\tINITED cov: 120 ft: 300 corp: 8/90b exec/s: 0 rss: 40Mb\n\
            #99\tNEW    cov: 121 ft: 310 corp: 9/95b lim: 90 exec/s: 0 rss: 40Mb L: 3/9 MS: 1 -\n\
            #500\tDONE   cov: 130 ft: 350 corp: 20/1Kb lim: 90 exec/s: 250 rss: 41Mb\n\
            stat::number_of_executed_units: 500\n\
            stat::new_units_added:          12\n";
        assert_eq!(
            Report::read(log).to_string(),
            "500 executions; edges 120 to 130, features 300 to 350; 12 inputs reached something new"
        );
    }

    #[test]
    fn a_log_that_says_nothing_is_a_report_of_nothing() {
        assert_eq!(Report::read("cov: many"), Report::default());
    }
}
