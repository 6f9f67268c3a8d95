package daemon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy/evidence/format"
)

// EvidenceClient requests fetches and imports from the daemon at its socket.
type EvidenceClient struct{ Socket *socket.Client }

// FetchAll calls [EvidenceService.FetchAll] of the daemon. Without a daemon the error is [socket.ErrNoDaemon].
func (c *EvidenceClient) FetchAll(ctx context.Context, request FetchRequest, report func(FetchReport) error) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("calling the daemon: %w", err)
	}
	response, err := c.Socket.Post(ctx, fetchEndpoint, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, socket.MaxMessage)
	for lines.Scan() {
		var line FetchReport
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("calling the daemon: its answer: %w", err)
		}
		if line.Total == 0 && line.Error != "" {
			return errors.New(line.Error)
		}
		if err := report(line); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("calling the daemon: its answer ended early: %w", err)
	}
	return nil
}

// Import imports one item, and returns how many of its files are new.
func (c *EvidenceClient) Import(ctx context.Context, item format.Item) (added int, err error) {
	body, err := json.Marshal(item)
	if err != nil {
		return 0, fmt.Errorf("calling the daemon: %w", err)
	}
	response, err := c.Socket.Post(ctx, importEndpoint, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var answer importAnswer
	if err := json.NewDecoder(io.LimitReader(response.Body, socket.MaxMessage)).Decode(&answer); err != nil {
		return 0, fmt.Errorf("calling the daemon: its answer: %w", err)
	}
	return answer.Added, nil
}
