package evidence

import "log/slog"

// maxFailing bounds of how many registries it is known that they fail.
const maxFailing = 1024

// answered notes whether a registry answered, and returns what is to be logged where that is new, or nil: while it
// fails, decisions rest on what was found before, and an image that is signed meanwhile stays unsigned. The caller
// holds mu, and must not while it logs.
func (k *Keeper) answered(host string, err error) (tell func()) {
	_, failing := k.failing[host]
	switch {
	case err == nil && failing:
		delete(k.failing, host)
		return func() { k.log.Info("a registry answers again", slog.String("registry", host)) }
	case err != nil && !failing && len(k.failing) < maxFailing:
		k.failing[host] = struct{}{}
		cause := shorten(err.Error())
		return func() {
			k.log.Warn("a registry fails when it is asked for signatures: what was found before stays in use",
				slog.String("registry", host), slog.String("error", cause))
		}
	default:
		return nil
	}
}
