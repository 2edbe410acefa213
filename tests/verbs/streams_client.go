// go-redis against the streams: `streams_client ADDRESS`; ends with 0 if all of it came as it should.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

func check(what string, is bool, got any, err error) {
	if err != nil || !is {
		fmt.Fprintf(os.Stderr, "%s: %v, %v\n", what, got, err)
		os.Exit(1)
	}
}

func main() {
	context, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, protocol := range []int{2, 3} {
		speak(context, protocol)
	}
}

func speak(context context.Context, protocol int) {
	client := redis.NewClient(&redis.Options{Addr: os.Args[1], Protocol: protocol})
	defer client.Close()
	stream := fmt.Sprintf("go-%d", protocol)
	check("PING", true, nil, client.Ping(context).Err())
	check("XGROUP CREATE", true, nil, client.XGroupCreateMkStream(context, stream, "group", "$").Err())
	again := client.XGroupCreateMkStream(context, stream, "group", "$").Err()
	check("XGROUP CREATE again", again != nil && again.Error() == "BUSYGROUP Consumer Group name already exists", again, nil)

	// A consumer that waits hears what is added afterwards.
	heard := make(chan []redis.XStream)
	go func() {
		waiter := redis.NewClient(&redis.Options{Addr: os.Args[1], Protocol: protocol})
		defer waiter.Close()
		got, err := waiter.XReadGroup(context, &redis.XReadGroupArgs{
			Group: "group", Consumer: "one", Streams: []string{stream, ">"}, Count: 10, Block: 20 * time.Second,
		}).Result()
		check("XREADGROUP", true, got, err)
		heard <- got
	}()
	time.Sleep(50 * time.Millisecond)
	id, err := client.XAdd(context, &redis.XAddArgs{
		Stream: stream, MaxLen: 1000, Approx: true, Values: []string{"operation", "thing.create", "name", "Öl"},
	}).Result()
	check("XADD", strings.Contains(id, "-"), id, err)
	got := <-heard
	is := len(got) == 1 && len(got[0].Messages) == 1 && got[0].Messages[0].ID == id && got[0].Messages[0].Values["name"] == "Öl"
	check("what came", is, got, nil)

	pending, err := client.XPending(context, stream, "group").Result()
	check("XPENDING", err == nil && pending.Count == 1 && pending.Consumers["one"] == 1, pending, err)
	claimed, _, err := client.XAutoClaim(context, &redis.XAutoClaimArgs{
		Stream: stream, Group: "group", Consumer: "two", Start: "0", Count: 10,
	}).Result()
	check("XAUTOCLAIM", len(claimed) == 1, claimed, err)
	acked, err := client.XAck(context, stream, "group", id).Result()
	check("XACK", acked == 1, acked, err)
	groups, err := client.XInfoGroups(context, stream).Result()
	check("XINFO GROUPS", err == nil && groups[0].Consumers == 2 && groups[0].Pending == 0 && groups[0].Lag == 0, groups, err)
	all, err := client.XRange(context, stream, "-", "+").Result()
	check("XRANGE", len(all) == 1, all, err)

	// Many in one go, and no more than asked for are kept.
	_, err = client.Pipelined(context, func(pipe redis.Pipeliner) error {
		for number := 0; number < 500; number++ {
			pipe.XAdd(context, &redis.XAddArgs{Stream: stream, MaxLen: 100, Values: []any{"number", number}})
		}
		return nil
	})
	check("a pipeline", true, nil, err)
	length, err := client.XLen(context, stream).Result()
	check("XLEN", length == 100, length, err)
	_, err = client.XReadGroup(context, &redis.XReadGroupArgs{
		Group: "nobody", Consumer: "one", Streams: []string{stream, ">"},
	}).Result()
	check("no such group", err != nil && strings.HasPrefix(err.Error(), "NOGROUP "), err, nil)
	deleted, err := client.Del(context, stream).Result()
	check("DEL", deleted == 1, deleted, nil)
	check("DEL", true, nil, err)
}
