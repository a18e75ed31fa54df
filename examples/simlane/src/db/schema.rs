//! The tables. Names that can be searched for are kept a second time as
//! `words`, in the form that `tags::words` gives them.

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS site (
    identity TEXT NOT NULL
) STRICT;
INSERT INTO site SELECT lower(hex(randomblob(16))) WHERE NOT EXISTS (SELECT 1 FROM site);
CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    country TEXT NOT NULL,
    bio TEXT NOT NULL,
    password_hash TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS clubs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    words TEXT NOT NULL,
    tagline TEXT NOT NULL,
    description TEXT NOT NULL,
    country TEXT NOT NULL,
    founded INTEGER NOT NULL,
    featured INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS club_members (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    club_id INTEGER NOT NULL REFERENCES clubs (id),
    user_id INTEGER NOT NULL REFERENCES users (id),
    role TEXT NOT NULL,
    UNIQUE (club_id, user_id)
) STRICT;
CREATE INDEX IF NOT EXISTS club_members_user ON club_members (user_id);
CREATE TABLE IF NOT EXISTS teams (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    club_id INTEGER NOT NULL REFERENCES clubs (id),
    name TEXT NOT NULL,
    words TEXT NOT NULL,
    car TEXT NOT NULL,
    number INTEGER NOT NULL,
    colour TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS teams_club ON teams (club_id);
CREATE TABLE IF NOT EXISTS profiles (
    \"row\" INTEGER PRIMARY KEY AUTOINCREMENT,
    simulator TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id INTEGER REFERENCES users (id),
    name TEXT NOT NULL,
    words TEXT NOT NULL,
    country TEXT NOT NULL,
    rating INTEGER NOT NULL,
    incidents INTEGER NOT NULL,
    starts INTEGER NOT NULL,
    podiums INTEGER NOT NULL,
    wins INTEGER NOT NULL,
    UNIQUE (simulator, id)
) STRICT;
CREATE INDEX IF NOT EXISTS profiles_user ON profiles (user_id);
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    simulator TEXT NOT NULL,
    class TEXT NOT NULL,
    summary TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    series_id INTEGER NOT NULL REFERENCES series (id),
    name TEXT NOT NULL,
    words TEXT NOT NULL,
    track TEXT NOT NULL,
    starts_at TEXT NOT NULL,
    laps INTEGER NOT NULL,
    status TEXT NOT NULL,
    featured INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS events_series ON events (series_id);
CREATE TABLE IF NOT EXISTS participations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id INTEGER NOT NULL REFERENCES events (id),
    profile INTEGER NOT NULL REFERENCES profiles (\"row\"),
    team_id INTEGER REFERENCES teams (id),
    status TEXT NOT NULL,
    position INTEGER,
    best_lap_ms INTEGER,
    UNIQUE (event_id, profile)
) STRICT;
CREATE INDEX IF NOT EXISTS participations_profile ON participations (profile);
CREATE INDEX IF NOT EXISTS participations_team ON participations (team_id);
";
