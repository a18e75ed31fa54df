//! Against real redis-server processes.
