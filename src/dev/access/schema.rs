//! Schema: emqttd's two tables and the rows that they begin with.
//!
//! No row has a number of its own choosing, so that the next insert into a SERIAL finds a free one.

use crate::database::{Step, Steps};

/// The embedded database.
pub(super) const STEPS: Steps = &[Step {
    up: concat!(include_str!("schema/sqlite.sql"), include_str!("schema/rows.sql")),
    down: "DROP TABLE mqtt_acl; DROP TABLE mqtt_user;",
}];

/// Returns SQL that makes the tables in a PostgreSQL database, with the rows that they begin with.
pub fn postgres_schema() -> &'static str {
    concat!(include_str!("schema/postgres.sql"), include_str!("schema/rows.sql"))
}

/// Who may connect. A row for the client itself is preferred to one for any.
pub(super) const AUTH: &str = "select password, salt from mqtt_user where username = '%u' \
    and (ipaddr = '%a' or ipaddr = '$all' or ipaddr is null) \
    and (clientid = '%c' or clientid is null) \
    order by clientid is null, ipaddr is null, id limit 1";

/// To whom nothing is denied.
pub(super) const SUPER: &str = "select is_superuser from mqtt_user where username = '%u' \
    and (clientid = '%c' or clientid is null) order by clientid is null, id limit 1";

/// What is allowed. The last row is asked first: what was added last decides, as in emqttd without an order.
pub(super) const ACL: &str = "select allow, ipaddr, username, clientid, access, topic, id from mqtt_acl \
    where ipaddr = '%a' or username = '%u' or username = '$all' or clientid = '%c' order by id";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::assert_steps_lead_back;

    #[test]
    fn each_step_leads_back() {
        assert_steps_lead_back(STEPS);
    }
}
