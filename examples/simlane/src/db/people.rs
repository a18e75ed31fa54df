//! The demo's people: users who can sign in, and drivers in the simulators.
#![expect(
    clippy::indexing_slicing,
    reason = "indexes are taken modulo the length"
)]

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use sqlx::SqliteConnection;

use crate::BoxError;
use crate::model::SIMULATORS;
use crate::tags::words;

/// Who can sign in first.
pub(crate) const DEMO_USER: &str = "ada";
/// Everybody's password in the demo.
pub(crate) const DEMO_PASSWORD: &str = "pitlane";

pub(super) const USERS: i64 = PEOPLE.len() as i64;
/// Drivers in each simulator.
pub(super) const DRIVERS: i64 = 20;

pub(super) async fn users(db: &mut SqliteConnection) -> Result<(), BoxError> {
    for ((username, name, country, bio), id) in PEOPLE.iter().zip(1_i64..) {
        sqlx::query("INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, ?)")
            .bind(id)
            .bind(username)
            .bind(name)
            .bind(format!("{username}@simlane.example"))
            .bind(country)
            .bind(bio)
            .bind(demo_hash(username)?)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

/// Hashes the demo password with the cheapest sensible cost and a salt that
/// follows from the name. A real site takes `Argon2::default()` and a random
/// salt; a demo whose password is printed at the start only wants to be quick.
fn demo_hash(username: &str) -> Result<String, BoxError> {
    let params = Params::new(256, 1, 1, None).map_err(|error| error.to_string())?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = format!("simlane-demo-{username}");
    let hash = argon2
        .hash_password_with_salt(DEMO_PASSWORD.as_bytes(), salt.as_bytes())
        .map_err(|error| error.to_string())?;
    Ok(hash.to_string())
}

/// Twenty drivers a simulator. The first ones belong to users: all of them
/// race in the first simulator, fewer in the others.
pub(super) async fn profiles(db: &mut SqliteConnection) -> Result<(), BoxError> {
    for (simulator, number) in SIMULATORS.iter().zip(0_i64..) {
        let linked = USERS - 5 * number;
        for index in 0..DRIVERS {
            let (name, country) = driver(number, index, linked);
            let starts = 12 + (index * 17 + number * 5) % 60;
            let podiums = starts * ((index * 5 + number) % 7) / 20;
            sqlx::query("INSERT INTO profiles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
                .bind(number * DRIVERS + index + 1)
                .bind(simulator)
                .bind((100 * (number + 1) + index + 1).to_string())
                .bind((index < linked).then_some(index + 1))
                .bind(&name)
                .bind(words(&name))
                .bind(country)
                .bind(1350 + (index * 613 + number * 287) % 3900)
                .bind(2 + (index * 11 + number * 3) % 23)
                .bind(starts)
                .bind(podiums)
                .bind(podiums * ((index + number) % 3) / 4)
                .execute(&mut *db)
                .await?;
        }
    }
    Ok(())
}

fn driver(simulator: i64, index: i64, linked: i64) -> (String, &'static str) {
    let at = usize::try_from(index).unwrap_or_default();
    if index < linked {
        let (_, name, country, _) = PEOPLE[at % PEOPLE.len()];
        return (name.to_owned(), country);
    }
    let offset = usize::try_from(simulator).unwrap_or_default() * 5;
    let (last, country) = LAST_NAMES[(at * 3 + offset) % LAST_NAMES.len()];
    (
        format!("{} {last}", FIRST_NAMES[(at + offset) % FIRST_NAMES.len()]),
        country,
    )
}

/// Username, name, country, bio.
const PEOPLE: [(&str, &str, &str, &str); 15] = [
    (
        "ada",
        "Ada Marlow",
        "GB",
        "Runs the night stints and the spreadsheet.",
    ),
    (
        "ben",
        "Ben Okafor",
        "GB",
        "Fast on Sundays, faster in the rain.",
    ),
    (
        "carla",
        "Carla Reyes",
        "ES",
        "Came for the league, stayed for the setups.",
    ),
    (
        "dmitri",
        "Dmitri Halonen",
        "FI",
        "Left-foot brakes in the family car too.",
    ),
    (
        "elena",
        "Elena Fabbri",
        "IT",
        "Steward on weekdays, driver at weekends.",
    ),
    (
        "farid",
        "Farid Haddad",
        "FR",
        "Believes every corner is flat once.",
    ),
    (
        "greta",
        "Greta Lindqvist",
        "SE",
        "Builds pedal sets out of bicycle parts.",
    ),
    (
        "hugo",
        "Hugo Martel",
        "FR",
        "Broadcasts more races than he finishes.",
    ),
    ("ines", "Ines Carvalho", "PT", "Formula cars, no excuses."),
    ("jonas", "Jonas Weber", "DE", "Has a graph for that."),
    (
        "keiko",
        "Keiko Tanabe",
        "JP",
        "Touge veteran, track rookie.",
    ),
    (
        "liam",
        "Liam Byrne",
        "IE",
        "Rookie mentor with fifty clean races.",
    ),
    ("mona", "Mona Castell", "NL", "Paints every livery by hand."),
    (
        "nils",
        "Nils Aaltonen",
        "FI",
        "Cold tyres are a state of mind.",
    ),
    ("olga", "Olga Nowak", "PL", "Welds her own rigs."),
];

const FIRST_NAMES: [&str; 13] = [
    "Theo", "Marta", "Ravi", "Sofia", "Anders", "Yuki", "Pablo", "Nadia", "Owen", "Lucia",
    "Viktor", "Amara", "Felix",
];

const LAST_NAMES: [(&str, &str); 16] = [
    ("Brandt", "DE"),
    ("Ferreira", "BR"),
    ("Kaur", "IN"),
    ("Moretti", "IT"),
    ("Solberg", "NO"),
    ("Ishida", "JP"),
    ("Navarro", "ES"),
    ("Dubois", "BE"),
    ("Hughes", "GB"),
    ("Costa", "PT"),
    ("Horvath", "HU"),
    ("Diallo", "FR"),
    ("Keller", "CH"),
    ("Jensen", "DK"),
    ("Walker", "US"),
    ("Novak", "CZ"),
];
