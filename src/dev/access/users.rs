//! Users: the rows of `mqtt_user`, which keep passwords by their hashes alone.

use super::book::Book;
use super::cell::Cell;
use super::error::AccessError;
use super::lint::{Finding, Probe, serial};
use super::policy::Policy;
use super::source::Trouble;

const TABLE: &str =
    "select username, clientid, ipaddr, password, salt, id from mqtt_user order by id";
/// The address that stands for any.
const ANYWHERE: &str = "$all";
/// Rows that are looked at; each asks the database once.
const ROWS_MAX: usize = 1_000;

impl Book {
    /// Gives a user a password, of which only the hash is kept; a user that is not there is made.
    ///
    /// # Errors
    /// Where users are in no database, or it refuses.
    pub async fn set_user(
        &self,
        name: &str,
        password: &[u8],
        is_superuser: bool,
    ) -> Result<(), AccessError> {
        let source = self.source()?;
        let policy = self.policy.as_ref().expect("there is a source only with a policy");
        if name.is_empty() || name.starts_with('$') || password.is_empty() {
            let why =
                "a name and a password have to be given, and the name must not begin with `$`";
            return Err(AccessError::Useless { why: why.to_owned() });
        }
        let kept = policy.hash.keep(password);
        let mark = source.mark();
        let values = vec![
            Some(name.to_owned()),
            Some(kept.hash),
            kept.salt,
            Some(if mark == '$' {
                is_superuser.to_string()
            } else {
                u8::from(is_superuser).to_string()
            }),
        ];
        let update = format!(
            "update mqtt_user set password = {mark}2, salt = {mark}3, is_superuser = {mark}4 \
             where username = {mark}1 and clientid is null returning id"
        );
        if source.ask(&update, values.clone()).await?.rows.is_empty() {
            let insert = format!(
                "insert into mqtt_user (username, password, salt, is_superuser, ipaddr) \
                 values ({mark}1, {mark}2, {mark}3, {mark}4, '{ANYWHERE}') returning id"
            );
            source.ask(&insert, values).await?;
        }
        Ok(())
    }
}

/// Looks at each user: can it ever connect?
pub(super) async fn lint(policy: &Policy, found: &mut Vec<Finding>) -> Result<(), AccessError> {
    let (Some(source), Some(_)) = (&policy.source, &policy.auth) else { return Ok(()) };
    let table = match source.ask(TABLE, vec![]).await {
        Ok(table) => table.rows,
        // The queries may ask another table.
        Err(Trouble::Refused(_)) => return Ok(()),
        Err(away) => return Err(away.into()),
    };
    for row in table.iter().take(ROWS_MAX) {
        let [name, client, address, password, salt, number] = row.as_slice() else { continue };
        let place = format!("row {} of mqtt_user", number.text().unwrap_or_default());
        if let Some(problem) = never_connects(policy, name, password, salt) {
            found.push(Finding::error(&place, format!("nobody connects by it: {problem}")));
            continue;
        }
        let address = address.filled().filter(|address| address != ANYWHERE);
        let probe = Probe::user(
            name.text().unwrap_or_default().into(),
            client.filled().map(Into::into),
            address.and_then(|address| address.parse().ok()),
        );
        selected(policy, &probe, (&place, password), found).await?;
    }
    serial(policy, "mqtt_user", found).await
}

fn never_connects(policy: &Policy, name: &Cell, password: &Cell, salt: &Cell) -> Option<String> {
    if name.filled().is_none() {
        return Some("a client without a name is refused before any row is looked at".to_owned());
    }
    let Some(password) = password.filled() else {
        return Some("its password is empty".to_owned());
    };
    if policy.hash.columns() == 2 && *salt == Cell::Null {
        return Some("its salt is NULL".to_owned());
    }
    policy.hash.misfit(&password)
}

/// Looks whether the auth query finds a row for whom the row is for, and that one.
async fn selected(
    policy: &Policy,
    probe: &Probe,
    (place, password): (&str, &Cell),
    found: &mut Vec<Finding>,
) -> Result<(), AccessError> {
    let Some(auth) = &policy.auth else { return Ok(()) };
    let rows = match policy.ask(auth, &probe.asker()).await {
        Ok(rows) => rows.rows,
        // The query is named for itself.
        Err(Trouble::Refused(_)) => return Ok(()),
        Err(away) => return Err(away.into()),
    };
    let name = probe.user.as_deref().unwrap_or_default();
    match rows.as_slice() {
        [] => found.push(Finding::error(
            place,
            format!("the auth query does not find it: whoever gives the name `{name}` is taken for unknown"),
        )),
        [row] if row.first() == Some(password) => {}
        [_] => found.push(Finding::warning(place, "the auth query finds another row in its place")),
        rows => found.push(Finding::error(
            place,
            format!("the auth query gives {} rows for `{name}`, and only one may be", rows.len()),
        )),
    }
    Ok(())
}
