package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"syscall"

	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/origin"
)

// Where the daemon is asked to fetch and to import.
const (
	// fetchEndpoint takes a [fetchRequest] and answers with a [fetchReport] for each image, each one line of JSON, and a
	// [socket.Error] as the last where it could not go on.
	fetchEndpoint = "/v1/evidence/fetch"
	// importEndpoint takes an [format.Item] and answers with an [importAnswer].
	importEndpoint = "/v1/evidence/import"
)

// maxFetchRequest bounds how many references one may ask for at once, in bytes, and maxImportRequest an item, whose
// files are in base64.
const (
	maxFetchRequest  = 4 << 20
	maxImportRequest = format.MaxTotal/3*4 + 64<<10
)

// importAnswer says how many files of an item are new.
type importAnswer struct {
	Added int `json:"added"`
}

// newEvidenceWork is the daemon's.
func newEvidenceWork(
	decider *policy.Decider, images *origin.Containerd, keeper *evidence.Keeper, reached *evidence.Fetcher,
) *evidenceWork {
	return &evidenceWork{
		held: func(context.Context) ([]origin.Held, error) {
			if state := images.State(); !state.Following || state.Unread > 0 {
				return nil, errUnknownHere
			}
			return images.Held(), nil
		},
		asks: decider.Asks, resolve: reached.Resolve, read: reached.Image,
		fetch: keeper.Fetch, kept: keeper.Kept, bring: keeper.Import,
	}
}

// handle answers at the daemon's socket.
func (w *evidenceWork) handle(mux *http.ServeMux) {
	mux.HandleFunc("POST "+fetchEndpoint, w.serveFetch)
	mux.HandleFunc("POST "+importEndpoint, w.serveImport)
}

func (w *evidenceWork) serveFetch(response http.ResponseWriter, request *http.Request) {
	var wanted fetchRequest
	if !decodeRequest(response, request, maxFetchRequest, &wanted) {
		return
	}
	response.Header().Set("Content-Type", "application/x-ndjson")
	encoder, flush := json.NewEncoder(response), http.NewResponseController(response)
	err := w.fetchAll(request.Context(), wanted, func(report fetchReport) error {
		// Whoever asked may have gone, and then nobody waits.
		return errors.Join(encoder.Encode(report), flush.Flush())
	})
	if err != nil {
		_ = encoder.Encode(socket.Error{Message: oneLine(err)})
	}
}

func (w *evidenceWork) serveImport(response http.ResponseWriter, request *http.Request) {
	var item format.Item
	if !decodeRequest(response, request, maxImportRequest, &item) {
		return
	}
	added, err := w.bring(item)
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, syscall.ENOSPC) {
			status = http.StatusInsufficientStorage
		}
		socket.Fail(response, &socket.Error{Status: status, Message: err.Error()})
		return
	}
	response.Header().Set("Content-Type", "application/json")
	// As above.
	_ = json.NewEncoder(response).Encode(importAnswer{Added: added})
}

// decodeRequest reads a document of at most so many bytes. Where it cannot, it says so.
func decodeRequest(response http.ResponseWriter, request *http.Request, most int64, into any) bool {
	err := json.NewDecoder(http.MaxBytesReader(response, request.Body, most)).Decode(into)
	if err != nil {
		socket.Fail(response, &socket.Error{
			Status: http.StatusBadRequest, Message: fmt.Sprintf("reading the request: %v", err),
		})
	}
	return err == nil
}
