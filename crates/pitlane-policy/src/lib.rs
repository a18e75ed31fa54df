//! pitlane-policy.
