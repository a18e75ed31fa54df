//! What `top` draws.

use std::cmp::Reverse;
use std::collections::VecDeque;

use pitlane::stats::{FleetStats, TopKey};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Paragraph, Row, Sparkline, Table};

use crate::failure::Failure;
use crate::fleet;
use crate::text;

/// How many looks the curve shows at most.
const REMEMBERED: usize = 240;
const KEYS: usize = 8;

/// What was seen so far.
#[derive(Default)]
pub(super) struct Screen {
    fleet: Option<FleetStats>,
    trouble: Option<String>,
    /// Requests between two looks, the latest last.
    requests: VecDeque<u64>,
}

impl Screen {
    pub(super) fn show(&mut self, fleet: FleetStats) {
        let total = |fleet: &FleetStats| fleet.totals.windows.since_start.outcomes.total();
        if let Some(before) = &self.fleet {
            if self.requests.len() == REMEMBERED {
                self.requests.pop_front();
            }
            // A server that has left takes its count along.
            self.requests
                .push_back(total(&fleet).saturating_sub(total(before)));
        }
        self.fleet = Some(fleet);
        self.trouble = None;
    }

    /// What was seen last stays, and it is said that it is old.
    pub(super) fn trouble(&mut self, failure: &Failure) {
        self.trouble = Some(text::harmless(&failure.to_string()));
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let Some(fleet) = &self.fleet else {
            let text = self
                .trouble
                .as_deref()
                .unwrap_or("waiting for the first look");
            frame.render_widget(Paragraph::new(text), frame.area());
            return;
        };
        let caches = u16::try_from(fleet.caches.len()).unwrap_or(u16::MAX);
        let nodes = u16::try_from(fleet.nodes.len()).unwrap_or(u16::MAX);
        let [head, curve, cache_area, node_area, keys, foot] = Layout::vertical([
            Constraint::Length(2),
            Constraint::Length(5),
            Constraint::Length(caches.saturating_add(4)),
            Constraint::Length(nodes.saturating_add(3)),
            Constraint::Min(3),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        self.draw_head(frame, head, fleet);
        self.draw_curve(frame, curve);
        let widths = [12, 10, 10, 10, 10, 8, 8, 22, 8];
        draw_table(
            frame,
            cache_area,
            "caches",
            (fleet::CACHE_HEADER, widths),
            fleet::caches(fleet),
        );
        let widths = [20, 9, 10, 8, 9, 6, 34, 30];
        draw_table(
            frame,
            node_area,
            "servers",
            (fleet::NODE_HEADER, widths),
            fleet::nodes(fleet),
        );
        draw_keys(frame, keys, fleet);
        let foot_text = self.trouble.as_deref().unwrap_or("q ends");
        frame.render_widget(Paragraph::new(foot_text), foot);
    }

    fn draw_head(&self, frame: &mut Frame<'_>, area: Rect, fleet: &FleetStats) {
        let windows = &fleet.totals.windows;
        let minute = windows.last_minute.as_ref().unwrap_or(&windows.since_start);
        let first = format!(
            "{}  {:.1} requests/s  hit ratio {}  {}",
            text::count(fleet.nodes.len() as u64, "server", "servers"),
            minute.requests_per_second,
            fleet::ratio(minute.hit_ratio),
            fleet::saved(fleet)
        );
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let lines = vec![Line::styled(first, bold), Line::raw(fleet::redis(fleet))];
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn draw_curve(&self, frame: &mut Frame<'_>, area: Rect) {
        let block = Block::new().borders(Borders::TOP).title("requests");
        let width = usize::from(area.width);
        let skipped = self.requests.len().saturating_sub(width);
        let shown = self.requests.iter().skip(skipped).copied();
        frame.render_widget(Sparkline::default().data(shown).block(block), area);
    }
}

fn draw_table<const N: usize>(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &str,
    (header, widths): ([&str; N], [u16; N]),
    rows: Vec<[String; N]>,
) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let table = Table::new(
        rows.into_iter().map(Row::new),
        widths.map(Constraint::Length),
    )
    .header(Row::new(header).style(bold))
    .block(Block::new().borders(Borders::TOP).title(title));
    frame.render_widget(table, area);
}

fn draw_keys(frame: &mut Frame<'_>, area: Rect, fleet: &FleetStats) {
    let keys = fleet.caches.iter().flat_map(|cache| {
        let of = |key: &TopKey| (cache.name.clone(), key.clone());
        cache.top_by_hits.iter().map(of).collect::<Vec<_>>()
    });
    let mut keys: Vec<(String, TopKey)> = keys.collect();
    keys.sort_by_key(|(_, key)| Reverse(key.count));
    let rows = keys.into_iter().take(KEYS).map(|(cache, key)| {
        Row::new([
            key.count.to_string(),
            text::harmless(&cache),
            text::harmless(&key.name),
        ])
    });
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let widths = [
        Constraint::Length(10),
        Constraint::Length(12),
        Constraint::Min(20),
    ];
    let table = Table::new(rows, widths)
        .header(Row::new(["HITS", "CACHE", "KEY"]).style(bold))
        .block(Block::new().borders(Borders::TOP).title("most asked for"));
    frame.render_widget(table, area);
}

#[cfg(test)]
mod tests {
    use super::*;
    use pitlane::stats::{CacheStats, NodeStats};
    use ratatui::{Terminal, backend::TestBackend};

    fn drawn(screen: &Screen, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let cells = buffer.content().chunks(usize::from(width.max(1)));
        let lines = cells.map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>());
        lines.collect::<Vec<_>>().join("\n")
    }

    fn fleet(hits: u64) -> FleetStats {
        let mut fleet = FleetStats::default();
        let mut cache = CacheStats::default();
        cache.name = "api".to_owned();
        cache.windows.since_start.outcomes.hit = hits;
        let mut key = TopKey::default();
        key.name = "GET //h/\u{1b}[2J".to_owned();
        key.count = hits;
        cache.top_by_hits = vec![key];
        let mut node = NodeStats::default();
        node.name = Some("web-1".to_owned());
        fleet.totals.windows.since_start.outcomes.hit = hits;
        fleet.caches = vec![cache];
        fleet.nodes = vec![node];
        fleet
    }

    #[test]
    fn caches_servers_and_keys_are_drawn_and_hostile_names_are_harmless() {
        let mut screen = Screen::default();
        assert!(drawn(&screen, 80, 10).contains("waiting"));
        screen.show(fleet(5));
        screen.show(fleet(25));
        assert_eq!(screen.requests, [20]);
        let text = drawn(&screen, 130, 40);
        for part in ["1 server ", "api", "web-1", "\\u{1b}[2J", "q ends"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
        screen.trouble(&Failure::failed("Redis can't be reached"));
        assert!(drawn(&screen, 130, 40).contains("Redis can't be reached"));
    }

    #[test]
    fn the_smallest_terminal_is_drawn_on_too() {
        let mut screen = Screen::default();
        screen.show(fleet(5));
        for (width, height) in [(1, 1), (10, 2), (200, 3), (3, 100)] {
            drawn(&screen, width, height);
        }
    }
}
