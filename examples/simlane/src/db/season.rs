//! The demo's season: series, events, entries and results.
#![expect(
    clippy::indexing_slicing,
    reason = "indexes are taken modulo the length"
)]

use sqlx::SqliteConnection;

use super::people::DRIVERS;
use crate::BoxError;
use crate::model::SIMULATORS;
use crate::tags::words;

const ROUNDS: i64 = 5;
/// Rounds that are over; the others are scheduled.
const FINISHED: i64 = 3;
/// Entries in each event.
const ENTRIES: i64 = 10;
const TEAMS: i64 = 24;

pub(super) async fn fill(db: &mut SqliteConnection) -> Result<(), BoxError> {
    for ((name, simulator, class, summary, tracks), series) in SERIES.iter().zip(1_i64..) {
        sqlx::query("INSERT INTO series VALUES (?, ?, ?, ?, ?)")
            .bind(series)
            .bind(name)
            .bind(simulator)
            .bind(class)
            .bind(summary)
            .execute(&mut *db)
            .await?;
        let number = SIMULATORS
            .iter()
            .position(|known| known == simulator)
            .unwrap_or_default();
        for (track, round) in tracks.iter().zip(1_i64..) {
            event(db, series, round, track).await?;
            entries(db, series, round, i64::try_from(number)?).await?;
        }
    }
    Ok(())
}

async fn event(
    db: &mut SqliteConnection,
    series: i64,
    round: i64,
    (name, track): &(&str, &str),
) -> Result<(), BoxError> {
    let (year, month) = MONTHS[usize::try_from(round - 1)? % MONTHS.len()];
    let finished = round <= FINISHED;
    sqlx::query("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(event_id(series, round))
        .bind(series)
        .bind(name)
        .bind(words(&format!("{name} {track}")))
        .bind(track)
        .bind(format!(
            "{year}-{month:02}-{:02}T{:02}:00",
            series * 4 + round,
            17 + series % 4
        ))
        .bind(20 + (series * 7 + round * 11) % 40)
        .bind(if finished { "finished" } else { "scheduled" })
        .bind(round == FINISHED + 1 && series != 2 && series != 5)
        .execute(&mut *db)
        .await?;
    Ok(())
}

/// Ten drivers of the simulator enter each round. Seven and ten have no
/// common factor, so `place` is a permutation: everybody finishes somewhere.
async fn entries(
    db: &mut SqliteConnection,
    series: i64,
    round: i64,
    simulator: i64,
) -> Result<(), BoxError> {
    for entry in 0..ENTRIES {
        let driver = simulator * DRIVERS + (round * 3 + series * 5 + entry) % DRIVERS;
        let place = (entry * 7 + round * 3 + series) % ENTRIES + 1;
        let status = match (round <= FINISHED, place == ENTRIES) {
            (false, _) => "entered",
            (true, false) => "finished",
            (true, true) => "retired",
        };
        sqlx::query(
            "INSERT INTO participations (event_id, profile, team_id, status, position, best_lap_ms) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(event_id(series, round))
        .bind(driver + 1)
        .bind((driver % 12 != 11).then_some(driver * 7 % TEAMS + 1))
        .bind(status)
        .bind((status == "finished").then_some(place))
        .bind((status != "entered").then_some(95_000 + series * 6_211 + round * 2_417 + place * 173))
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

fn event_id(series: i64, round: i64) -> i64 {
    (series - 1) * ROUNDS + round
}

/// Year and month of each round.
const MONTHS: [(i64, i64); 5] = [(2026, 7), (2026, 8), (2026, 9), (2027, 2), (2027, 3)];

/// Name, simulator, class, summary, and the five rounds' names and tracks.
type DemoSeries = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    [(&'static str, &'static str); 5],
);

const SERIES: [DemoSeries; 6] = [
    (
        "Endurance Trophy",
        "iracing",
        "GT3",
        "Three-hour races with driver swaps and real fuel strategy.",
        [
            ("Lime Rock Three Hours", "Lime Rock Park"),
            ("Watkins Glen Three Hours", "Watkins Glen"),
            ("Road America Three Hours", "Road America"),
            ("Sebring Night Three Hours", "Sebring"),
            ("Daytona Finale", "Daytona Road Course"),
        ],
    ),
    (
        "Formula Sprint Cup",
        "iracing",
        "Formula",
        "Half an hour, no pit stops, reversed grids.",
        [
            ("Sprint at Okayama", "Okayama"),
            ("Sprint at Oulton Park", "Oulton Park"),
            ("Sprint at Interlagos", "Interlagos"),
            ("Sprint at Mugello", "Mugello"),
            ("Sprint at Suzuka", "Suzuka"),
        ],
    ),
    (
        "GT3 Night League",
        "acc",
        "GT3",
        "Starts at sunset, ends under floodlights, decided in the rain.",
        [
            ("Misano Night", "Misano"),
            ("Zolder Night", "Zolder"),
            ("Barcelona Night", "Barcelona"),
            ("Spa Night", "Spa-Francorchamps"),
            ("Monza Night", "Monza"),
        ],
    ),
    (
        "GT4 Challenge",
        "acc",
        "GT4",
        "The door-to-door class. Contact is reviewed, excuses are not.",
        [
            ("Brands Hatch Double", "Brands Hatch"),
            ("Snetterton Double", "Snetterton"),
            ("Zandvoort Double", "Zandvoort"),
            ("Hungaroring Double", "Hungaroring"),
            ("Imola Double", "Imola"),
        ],
    ),
    (
        "Prototype Masters",
        "lmu",
        "LMP2",
        "Slicks, downforce and traffic. Fewer words than laps.",
        [
            ("Portimao Masters", "Portimao"),
            ("Fuji Masters", "Fuji"),
            ("Bahrain Masters", "Bahrain"),
            ("Lusail Masters", "Lusail"),
            ("Imola Masters", "Imola"),
        ],
    ),
    (
        "Hypercar Series",
        "lmu",
        "Hypercar",
        "The fastest class on the calendar, with the longest straight.",
        [
            ("Six Hours of Fuji", "Fuji"),
            ("Six Hours of Sao Paulo", "Interlagos"),
            ("Six Hours of Spa", "Spa-Francorchamps"),
            ("Le Mans Prologue", "Circuit de la Sarthe"),
            ("Le Mans Day and Night", "Circuit de la Sarthe"),
        ],
    ),
];
