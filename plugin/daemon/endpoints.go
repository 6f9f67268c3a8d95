package daemon

import "github.com/countersign/countersign/plugin/internal/socket"

// Endpoint describes an endpoint of the daemon's socket.
type Endpoint struct {
	Path string
	// Meaning is what it does, in a sentence.
	Meaning string
	// Request and Answer are examples of its messages, whose types are documented. Nil: Meaning describes the message.
	Request, Answer any
}

// Endpoints describes all endpoints of the daemon's socket.
func Endpoints() []Endpoint {
	return []Endpoint{
		{
			socket.PullEndpoint, "Decides whether containerd may pull an image. `decision` is `admit` or `refuse`.",
			socket.PullRequest{},
			socket.PullAnswer{},
		},
		{
			checkEndpoint, "Decides about an image on this node, whose config is known, as for a container.",
			CheckRequest{},
			CheckAnswer{},
		},
		{
			explainEndpoint, "Decides about a container, or about an image in a namespace, and reports each step.",
			ExplainRequest{},
			Explanation{},
		},
		{
			socket.PreviewEndpoint, "Reports which running containers would be refused under other documents, by namespace. " +
				"The request has at most 16 MiB.",
			socket.PreviewRequest{},
			socket.PreviewAnswer{},
		},
		{
			socket.DecisionsEndpoint, "Waits for containers that are refused, or would be in enforce mode, and reports them.",
			socket.DecisionsRequest{},
			socket.DecisionsAnswer{},
		},
		{statusEndpoint, "Reports the state of the daemon.", StatusRequest{}, Status{}},
		{
			fetchEndpoint, "Fetches evidence. The answer has one object in each line, while images are fetched; an object " +
				"without `total` has the `error` that ended the answer.",
			FetchRequest{},
			FetchReport{},
		},
		{
			importEndpoint, "Imports the evidence of one manifest. The request has its `manifest` and `repository`, and lists " +
				"`signatures` and `bundles` in base64. `added` counts those that are new.",
			nil,
			importAnswer{},
		},
	}
}
