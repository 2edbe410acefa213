//! Schema: the tables of things, and the way to each format.

use crate::database::{Step, Steps};

pub(super) const STEPS: Steps = &[Step {
    up: "
        create table secrets (secret blob not null);
        create table users (
            email text primary key,
            password text not null,
            metadata text not null
        ) without rowid;
        create table things (
            id text primary key,
            owner text not null,
            key text not null unique,
            name text not null,
            metadata text not null
        ) without rowid;
        create table channels (
            id text primary key,
            owner text not null,
            name text not null,
            metadata text not null
        ) without rowid;
        create table connections (
            channel text not null references channels (id) on delete cascade,
            thing text not null references things (id) on delete cascade,
            primary key (channel, thing)
        ) without rowid;
        create index connections_by_thing on connections (thing);
        create table configs (
            thing text primary key references things (id) on delete cascade,
            owner text not null,
            external_id text not null unique,
            external_key text not null,
            name text not null,
            content text not null,
            client_cert text not null,
            client_key text not null,
            ca_cert text not null,
            state integer not null
        ) without rowid;
        create table config_channels (
            config text not null references configs (thing) on delete cascade,
            place integer not null,
            channel text not null references channels (id) on delete cascade,
            primary key (config, channel)
        ) without rowid;
        create index config_channels_by_channel on config_channels (channel);
        create table strangers (
            number integer primary key,
            external_id text not null unique,
            external_key text not null
        );
        create table messages (
            number integer primary key,
            channel text not null,
            subtopic text not null,
            publisher text not null,
            protocol text not null,
            name text not null,
            unit text not null,
            value real,
            string_value text,
            bool_value integer,
            data_value text,
            value_sum real,
            time real not null,
            update_time real not null,
            link text not null,
            bytes integer not null
        );
        create index messages_by_time on messages (channel, time desc, number desc);
    ",
    down: "
        drop table messages;
        drop table strangers;
        drop table config_channels;
        drop table configs;
        drop table connections;
        drop table channels;
        drop table things;
        drop table users;
        drop table secrets;
    ",
}];

#[cfg(test)]
mod tests {
    #[test]
    fn each_format_leads_back_to_the_one_before() {
        crate::database::assert_steps_lead_back(super::STEPS);
    }
}
