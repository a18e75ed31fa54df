//! A circuit-broken Redis client, and Pitlane's remote tier and invalidation log over it.
