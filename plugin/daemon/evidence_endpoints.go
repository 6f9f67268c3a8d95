package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"syscall"

	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/text"
)

// Endpoints of the evidence service.
const (
	// fetchEndpoint takes a [FetchRequest] and answers with a [FetchReport] for each image, each on one line of JSON,
	// followed by a [socket.Error] if it cannot continue.
	fetchEndpoint = "/v1/evidence/fetch"
	// importEndpoint takes an [format.Item] and answers with an [importAnswer].
	importEndpoint = "/v1/evidence/import"
)

// maxFetchRequest limits the references of one request, in bytes, and maxImportRequest an item, whose files are base64.
const (
	maxFetchRequest  = 4 << 20
	maxImportRequest = 2*format.MaxTotal/3*4 + 64<<10
)

// importAnswer has the number of the item's files that are new.
type importAnswer struct {
	Added int `json:"added"`
}

// handle registers the endpoints.
func (s *EvidenceService) handle(mux *http.ServeMux) {
	mux.HandleFunc("POST "+fetchEndpoint, s.serveFetch)
	mux.HandleFunc("POST "+importEndpoint, s.serveImport)
}

func (s *EvidenceService) serveFetch(response http.ResponseWriter, request *http.Request) {
	var wanted FetchRequest
	if !decodeRequest(response, request, maxFetchRequest, &wanted) {
		return
	}
	response.Header().Set("Content-Type", "application/x-ndjson")
	encoder, flush := json.NewEncoder(response), http.NewResponseController(response)
	err := s.FetchAll(request.Context(), wanted, func(report FetchReport) error {
		// The client may have disconnected; the rest is then not fetched.
		return errors.Join(encoder.Encode(report), flush.Flush())
	})
	if err != nil {
		_ = encoder.Encode(socket.Error{Message: text.OfError(err)})
	}
}

func (s *EvidenceService) serveImport(response http.ResponseWriter, request *http.Request) {
	var item format.Item
	if !decodeRequest(response, request, maxImportRequest, &item) {
		return
	}
	added, err := s.Import(item)
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, syscall.ENOSPC) {
			status = http.StatusInsufficientStorage
		}
		socket.Fail(response, &socket.Error{Status: status, Message: err.Error()})
		return
	}
	response.Header().Set("Content-Type", "application/json")
	// An error here means that the client has disconnected.
	_ = json.NewEncoder(response).Encode(importAnswer{Added: added})
}

// decodeRequest decodes a document of at most limit bytes. If that fails, it answers with the error and returns false.
func decodeRequest(response http.ResponseWriter, request *http.Request, limit int64, into any) bool {
	err := json.NewDecoder(http.MaxBytesReader(response, request.Body, limit)).Decode(into)
	if err != nil {
		socket.Fail(response, &socket.Error{
			Status: http.StatusBadRequest, Message: fmt.Sprintf("reading the request: %v", err),
		})
	}
	return err == nil
}
