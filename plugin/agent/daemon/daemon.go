package daemon

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/countersign/countersign/plugin/agent/reconcile"
	"github.com/countersign/countersign/plugin/internal/socket"
)

// Preview returns a function that asks the daemon which running containers documents would refuse. A container that
// cannot be decided counts as refused: if it ended now, it might not start again.
func Preview(client *socket.Client) reconcile.Preview {
	return func(ctx context.Context, documents map[string][]byte) (map[string][]string, error) {
		request := socket.PreviewRequest{Documents: map[string]json.RawMessage{}}
		for namespace, document := range documents {
			request.Documents[namespace] = document
		}
		answer, err := socket.CallLarge[socket.PreviewAnswer](ctx, client,
			socket.Large{Endpoint: socket.PreviewEndpoint, Limit: socket.MaxPreviewAnswer}, request)
		if err != nil {
			return nil, err
		}
		refused := map[string][]string{}
		for _, list := range [][]socket.PreviewContainer{answer.Refused, answer.Undecided} {
			for _, c := range list {
				refused[c.Namespace] = append(refused[c.Namespace],
					fmt.Sprintf("container %s of pod %s (%s)", c.Container, c.Pod, c.Reason))
			}
		}
		return refused, nil
	}
}

// wait is how long a request for refusals waits, in seconds.
const wait = 30

// Feed returns refusals of the daemon as it makes them.
type Feed struct {
	client *socket.Client
	start  string
	after  uint64
}

// NewFeed returns a feed, which begins with what the daemon still has.
func NewFeed(client *socket.Client) *Feed { return &Feed{client: client} }

// Next waits for refusals. There are none if none was made in half a minute.
func (f *Feed) Next(ctx context.Context) ([]socket.DeniedRequest, error) {
	answer, err := socket.CallLarge[socket.DecisionsAnswer](ctx, f.client,
		socket.Large{Endpoint: socket.DecisionsEndpoint, Limit: socket.MaxDecisionsAnswer},
		socket.DecisionsRequest{Start: f.start, After: f.after, WaitSeconds: wait})
	if err != nil {
		return nil, err
	}
	f.start, f.after = answer.Start, answer.Sequence
	return answer.Decisions, nil
}
