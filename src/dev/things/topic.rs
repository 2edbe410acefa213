//! Topic: where messages of channels go over MQTT: `channels/ID/messages[/SUBTOPIC][/ct/TYPE]`.

/// A topic of a channel, taken apart as Mainflux's adapter does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) channel: String,
    /// The subtopic's elements, joined by dots.
    pub(super) subtopic: String,
    /// The type that stands behind `ct`; empty where there is none.
    pub(super) content_type: String,
}

/// Returns the channel of a topic or filter: the least that stands between `channels/` and `/messages`.
pub(super) fn channel(topic: &str) -> Option<&str> {
    const MESSAGES: &str = "/messages";
    let rest = topic.strip_prefix("channels/")?;
    // At least one character, so that `channels//messages` names no channel.
    let first = rest.chars().next()?.len_utf8();
    let at = first + rest[first..].find(MESSAGES)?;
    (!topic.contains(['\n', '\r'])).then_some(&rest[..at])
}

/// Takes the topic of a message apart; `None` where it is of no channel, or its subtopic has a wildcard in it.
pub(super) fn read(topic: &str) -> Option<Topic> {
    let channel = channel(topic)?.to_owned();
    let elements = topic.split('/').skip(3).flat_map(|part| part.split('.'));
    let mut elements = plain(elements)?;
    let mut content_type = String::new();
    if let [.., "ct", last] = elements[..] {
        content_type = last.replacen('_', "/", 1).replacen('-', "+", 1);
        elements.truncate(elements.len() - 2);
    }
    Some(Topic { channel, subtopic: elements.join("."), content_type })
}

/// Reads a subtopic with slashes or dots; `None` where it has a wildcard in it.
pub(super) fn subtopic(text: &str) -> Option<String> {
    Some(plain(text.split(['/', '.']))?.join("."))
}

fn plain<'a>(elements: impl Iterator<Item = &'a str>) -> Option<Vec<&'a str>> {
    let elements: Vec<&str> = elements.filter(|element| !element.is_empty()).collect();
    let is_wild = |element: &&str| element.len() > 1 && element.contains(['*', '>']);
    (!elements.iter().any(is_wild)).then_some(elements)
}

/// Returns the topic on which a message that did not come over MQTT is published.
pub(super) fn write(topic: &Topic) -> Option<String> {
    let Topic { channel, subtopic, content_type } = topic;
    let mut text = format!("channels/{channel}/messages");
    if !subtopic.is_empty() {
        text.push('/');
        text.push_str(&subtopic.replace('.', "/"));
    }
    if !content_type.is_empty() {
        text.push_str("/ct/");
        text.push_str(&content_type.replacen('/', "_", 1).replacen('+', "-", 1));
    }
    // What MQTT forbids in a topic would never arrive.
    (!text.contains(['+', '#', '\0']) && text.len() <= usize::from(u16::MAX)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(channel: &str, subtopic: &str, content_type: &str) -> Topic {
        Topic {
            channel: channel.into(),
            subtopic: subtopic.into(),
            content_type: content_type.into(),
        }
    }

    #[test]
    fn a_topic_says_channel_subtopic_and_type() {
        let cases = [
            ("channels/1/messages", topic("1", "", "")),
            ("channels/1/messages/", topic("1", "", "")),
            ("channels/1/messages/a/b.c//d", topic("1", "a.b.c.d", "")),
            (
                "channels/1/messages/ct/application_senml-json",
                topic("1", "", "application/senml+json"),
            ),
            ("channels/1/messages/a/ct/a_b_c-d-e", topic("1", "a", "a/b_c+d-e")),
            ("channels/1/messages/ct", topic("1", "ct", "")),
            ("channels/1/messages/*/>", topic("1", "*.>", "")),
            ("channels/1/messagesfoo", topic("1", "", "")),
            ("channels/a/b/messages/x", topic("a/b", "messages.x", "")),
        ];
        for (text, wanted) in cases {
            assert_eq!(read(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_topic_of_a_channel_is_refused() {
        let bad = [
            "",
            "channels/1",
            "channels//messages",
            "a/channels/1/messages",
            "channel/1/messages",
            "channels/1/messages/a*",
            "channels/1/messages/x/>y",
            "channels/1/messages/a\nb",
        ];
        for text in bad {
            assert_eq!(read(text), None, "{text}");
        }
        // A wildcard in the channel's place is a name that no channel has.
        assert_eq!(channel("channels/+/messages"), Some("+"));
    }

    #[test]
    fn a_message_of_http_goes_to_a_topic_that_reads_back_the_same() {
        let message = topic("1", "a.b", "application/senml+json");
        let text = write(&message).unwrap();
        assert_eq!(text, "channels/1/messages/a/b/ct/application_senml-json");
        assert_eq!(read(&text), Some(message));
        assert_eq!(write(&topic("1", "", "a/b+c+d")), None);
        assert_eq!(write(&topic("1", "#", "")), None);
    }
}
