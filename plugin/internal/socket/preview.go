package socket

import "encoding/json"

// PreviewEndpoint is the endpoint that takes a [PreviewRequest] and answers with a [PreviewAnswer].
const PreviewEndpoint = "/v1/preview"

// Limits of a preview.
const (
	// MaxPreview limits the request, in bytes.
	MaxPreview = 16 << 20
	// MaxPreviewed limits each list of containers in an answer, and MaxPreviewAnswer the answer, in bytes.
	MaxPreviewed     = 500
	MaxPreviewAnswer = 4 << 20
)

// PreviewRequest asks which of the containers that run now would be refused under other documents.
type PreviewRequest struct {
	// Documents are the documents by namespace, in the format of containers-policy.json(5). The empty namespace stands for
	// all namespaces that have no document now and are not named here. Containers of other namespaces are not evaluated.
	Documents map[string]json.RawMessage `json:"documents"`
}

// PreviewAnswer is which containers would be refused. Nothing is recorded, and nothing is changed.
type PreviewAnswer struct {
	// Evaluated is the number of containers that run in the namespaces of the request.
	Evaluated int `json:"evaluated"`
	// RefusedCount is the number of containers that would be refused, and Refused are the first 500 of them.
	RefusedCount int                `json:"refused_count"`
	Refused      []PreviewContainer `json:"refused"`
	// UndecidedCount is the number of containers without a final verdict, and Undecided are the first 500 of them: their
	// signatures are not stored on this node yet, or a registry does not answer. Missing signatures are being fetched.
	UndecidedCount int                `json:"undecided_count"`
	Undecided      []PreviewContainer `json:"undecided"`
}

// PreviewContainer is a container that would not be admitted.
type PreviewContainer struct {
	Namespace   string `json:"namespace"`
	Pod         string `json:"pod"`
	Container   string `json:"container"`
	ContainerID string `json:"container_id"`
	// Volume is the mount path of the image volume that would be refused; empty: it is the container's own image.
	Volume string `json:"volume,omitempty"`
	// Image is the reference as the pod's author wrote it.
	Image  string `json:"image"`
	Reason string `json:"reason"`
	// Message is the text that the pod's author would read. Detail is for operators, and may name keys and other images.
	Message string `json:"message"`
	Detail  string `json:"detail"`
}
