//! Fills an empty database. Every value follows from its index, so that two
//! sites show the same bytes.

use sqlx::{SqliteConnection, SqlitePool};

use super::{people, season};
use crate::BoxError;
use crate::tags::words;

/// A club: name, tagline, description, country, year, and its teams' names,
/// cars and colours.
type DemoClub = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    i64,
    [DemoTeam; 2],
);
type DemoTeam = (&'static str, &'static str, &'static str);

/// Whether it was empty.
pub(super) async fn fill(pool: &SqlitePool) -> Result<bool, BoxError> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let users: i64 = sqlx::query_scalar("SELECT count(*) FROM users")
        .fetch_one(&mut *transaction)
        .await?;
    if users == 0 {
        people::users(&mut transaction).await?;
        clubs(&mut transaction).await?;
        people::profiles(&mut transaction).await?;
        season::fill(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(users == 0)
}

async fn clubs(db: &mut SqliteConnection) -> Result<(), BoxError> {
    for (club, id) in CLUBS.iter().zip(1_i64..) {
        let (name, tagline, description, country, founded, club_teams) = club;
        sqlx::query("INSERT INTO clubs VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(id)
            .bind(name)
            .bind(words(name))
            .bind(tagline)
            .bind(description)
            .bind(country)
            .bind(founded)
            .bind(id <= 3)
            .execute(&mut *db)
            .await?;
        members(db, id).await?;
        teams(db, id, club_teams).await?;
    }
    Ok(())
}

/// Eight members a club: every second user, from another one on in each.
async fn members(db: &mut SqliteConnection, club: i64) -> Result<(), BoxError> {
    const ROLES: [&str; 8] = [
        "owner", "manager", "driver", "driver", "driver", "driver", "reserve", "reserve",
    ];
    for (role, step) in ROLES.iter().zip(0_i64..) {
        sqlx::query("INSERT INTO club_members (club_id, user_id, role) VALUES (?, ?, ?)")
            .bind(club)
            .bind((club - 1 + 2 * step) % people::USERS + 1)
            .bind(role)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

async fn teams(
    db: &mut SqliteConnection,
    club: i64,
    club_teams: &[DemoTeam],
) -> Result<(), BoxError> {
    for ((name, car, colour), second) in club_teams.iter().zip(0_i64..) {
        let id = 2 * club - 1 + second;
        sqlx::query("INSERT INTO teams VALUES (?, ?, ?, ?, ?, ?, ?)")
            .bind(id)
            .bind(club)
            .bind(name)
            .bind(words(&format!("{name} {car}")))
            .bind(car)
            .bind(id * 37 % 98 + 1)
            .bind(colour)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

const CLUBS: [DemoClub; 12] = [
    (
        "Night Shift Racing",
        "Endurance people who never sleep",
        "Four drivers, one car, and a coffee machine that has done more laps than any of us. We \
         enter every race that lasts past midnight and teach newcomers to share a car.",
        "GB",
        2014,
        [
            ("Night Shift Red", "Porsche 911 GT3 R", "red"),
            ("Night Shift Dawn", "Ferrari 296 GT3", "amber"),
        ],
    ),
    (
        "Apex Garage",
        "Setups, telemetry and one more lap",
        "An engineering club first. Every session is logged, every setup is shared, and nobody \
         leaves before the tyre temperatures have been explained.",
        "DE",
        2016,
        [
            ("Apex Blue", "BMW M4 GT3", "blue"),
            ("Apex Works", "Audi R8 LMS", "teal"),
        ],
    ),
    (
        "Corsa Lenta",
        "Slow in, fast out, long lunch",
        "Weekend racers from around Bologna. Clean driving is the only rule we enforce, and the \
         debrief happens over pasta.",
        "IT",
        2018,
        [
            ("Corsa Rossa", "Ferrari 296 GT3", "red"),
            ("Corsa Verde", "Lamborghini Huracan GT3", "green"),
        ],
    ),
    (
        "Polar Motorsport",
        "Racing above the circle",
        "Long winters make fast drivers. Polar runs an open ladder from rookie sprints to the \
         prototype class.",
        "FI",
        2015,
        [
            ("Polar Aurora", "Cadillac V-Series.R", "teal"),
            ("Polar Frost", "Porsche 963", "blue"),
        ],
    ),
    (
        "Les Essoufflés",
        "Out of breath since lap one",
        "A French-speaking club for people who started late. Half of us learned to heel and toe \
         after forty, and the other half are still learning.",
        "FR",
        2019,
        [
            ("Essoufflés Un", "Alpine A424", "blue"),
            ("Essoufflés Deux", "Peugeot 9X8", "violet"),
        ],
    ),
    (
        "Kanto Touge Club",
        "Mountain lines on race tracks",
        "Founded on a mountain pass in a racing game from the nineties. Today we run GT4 cars \
         and still brake too late.",
        "JP",
        2012,
        [
            ("Kanto Sakura", "Toyota GR Supra GT4", "violet"),
            ("Kanto Kaze", "Nissan Z GT4", "amber"),
        ],
    ),
    (
        "Redwood Sim League",
        "West coast evenings, east coast regrets",
        "Three time zones and one calendar. Redwood organises the Tuesday night practice that \
         half the grid turns up to.",
        "US",
        2013,
        [
            ("Redwood One", "Corvette Z06 GT3.R", "amber"),
            ("Redwood Two", "Ford Mustang GT3", "blue"),
        ],
    ),
    (
        "Paddock Nine",
        "A garage for those without one",
        "No entry fee, no minimum rating. Paddock Nine pairs every rookie with a driver who has \
         finished fifty races.",
        "NL",
        2020,
        [
            ("Nine Orange", "McLaren 720S GT3", "amber"),
            ("Nine Lives", "Aston Martin Vantage GT4", "green"),
        ],
    ),
    (
        "Velocidade Lisboa",
        "Atlantic wind, full throttle",
        "Formula cars on Thursdays, endurance once a month, and a stream with more jokes than \
         overtakes.",
        "PT",
        2017,
        [
            ("Lisboa Azul", "Oreca 07", "blue"),
            ("Lisboa Verde", "Ligier JS P325", "green"),
        ],
    ),
    (
        "Ironbridge Racing",
        "Steel nerves, soft tyres",
        "Founded by six colleagues on a night shift in a steel works. We are loud on the radio \
         and quiet in the stewards' room.",
        "GB",
        2011,
        [
            ("Ironbridge Steel", "Bentley Continental GT3", "teal"),
            ("Ironbridge Ember", "Lexus RC F GT3", "red"),
        ],
    ),
    (
        "Outback Endurance",
        "Twenty-four hours, in the wrong time zone",
        "Every start is at four in the morning here. Somebody has to take the dawn stint, and it \
         is always us.",
        "AU",
        2016,
        [
            ("Outback Roo", "Mercedes-AMG GT3", "amber"),
            ("Outback Ute", "BMW M Hybrid V8", "violet"),
        ],
    ),
    (
        "Tatra Wheelworks",
        "Home-made rigs, home-made luck",
        "Everybody in this club has built a wheel, a pedal set or a whole rig. Bring a drill and \
         a sense of humour.",
        "PL",
        2021,
        [
            ("Tatra Peak", "Lamborghini SC63", "green"),
            ("Tatra Valley", "Isotta Fraschini Tipo 6", "red"),
        ],
    ),
];
