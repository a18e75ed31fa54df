//! pitlane.
