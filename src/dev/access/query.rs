//! Query: SQL in which `'%u'`, `'%c'` and `'%a'` stand for who asks.
//!
//! They become parameters, so what a client calls itself is never read as SQL. Each place is a parameter of its own:
//! one that stands twice works, which in emqttd 2.3 it does not.

use super::rule::Asker;

/// SQL that is asked about somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) sql: String,
    places: Vec<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    User,
    Client,
    Address,
}

impl Query {
    /// Reads SQL; `mark` is what begins a parameter in this database.
    pub(super) fn new(text: &str, mark: char) -> Self {
        let (mut sql, mut places, mut rest) = (String::new(), Vec::new(), text);
        while let Some(at) = rest.find("'%") {
            let place = match rest.get(at + 2..at + 4) {
                Some("u'") => Place::User,
                Some("c'") => Place::Client,
                Some("a'") => Place::Address,
                _ => {
                    sql.push_str(&rest[..at + 2]);
                    rest = &rest[at + 2..];
                    continue;
                }
            };
            places.push(place);
            sql.push_str(&rest[..at]);
            sql.push_str(&format!("{mark}{}", places.len()));
            rest = &rest[at + 4..];
        }
        sql.push_str(rest);
        Self { sql, places }
    }

    /// Returns what the parameters are.
    pub(super) fn values(&self, asker: &Asker<'_>) -> Vec<Option<String>> {
        let value = |place: &Place| match place {
            Place::User => asker.user.map(str::to_owned),
            Place::Client => Some(asker.client.to_owned()),
            Place::Address => Some(asker.address.to_string()),
        };
        self.places.iter().map(value).collect()
    }

    /// Tells whether the order of the rows is said.
    pub(super) fn is_ordered(&self) -> bool {
        let words: Vec<String> = self.sql.split_whitespace().map(str::to_lowercase).collect();
        words.windows(2).any(|pair| pair == ["order", "by"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_letters_become_parameters_however_often_they_stand() {
        let query = Query::new("select 1 where u = '%u' or c = '%c' or a = '%a' or v = '%u'", '$');
        assert_eq!(query.sql, "select 1 where u = $1 or c = $2 or a = $3 or v = $4");
        let asker = Asker { client: "c", user: None, address: "::1".parse().unwrap() };
        let values = [None, Some("c".to_owned()), Some("::1".to_owned()), None];
        assert_eq!(query.values(&asker), values);
    }

    #[test]
    fn only_the_quoted_letters_are_meant() {
        for text in ["select '%x', %u, '%', '$all', '%u ', ö'%", "select like 'a%u'", "'%ö'"] {
            assert_eq!(Query::new(text, '?'), Query { sql: text.to_owned(), places: vec![] });
        }
    }
}
