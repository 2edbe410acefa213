//! Server: the real servers that run beside a release on one's desk.

/// A real server that Debian has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Server {
    /// PostgreSQL.
    Postgres,
    /// Redis.
    Redis,
    /// Mosquitto, an MQTT broker.
    Mosquitto,
}

impl Server {
    /// Every server.
    pub const ALL: [Self; 3] = [Self::Postgres, Self::Redis, Self::Mosquitto];

    /// Returns its name as files spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Mosquitto => "mosquitto",
        }
    }

    /// Reads a server's name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|server| server.name() == name)
    }

    /// Returns the Debian package that has it.
    pub fn package(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::Redis => "redis-server",
            Self::Mosquitto => "mosquitto",
        }
    }

    /// Returns the port that it listens on everywhere.
    pub fn port(self) -> u16 {
        match self {
            Self::Postgres => 5432,
            Self::Redis => 6379,
            Self::Mosquitto => 1883,
        }
    }
}
