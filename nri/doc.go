// Package nri is the NRI plugin: it validates containers that containerd is about to create.
//
// It decides in ValidateContainerAdjustment and, from containerd 2.4 on, subscribes to no other request about a
// container. containerd 2.2 and 2.3 report no images; there it also subscribes to StartContainer, as a second check of
// the exact image (docs/decisions/0053-find-images-by-layers.md). A plugin that answers CreateContainer too late is cut
// off and the container runs; one that answers the validation too late has the container refused (containerd 2.4.2 and
// NRI 0.12.5, both measured). With default_validator.required_plugins in containerd's configuration no container is
// created while the plugin is disconnected either.
//
// The path of a request: [Plugin.Run] registers and stays registered; a [ContainerInfo] is what containerd reports
// about a container; [Handler] finds the image of its root filesystem, requests a decision, and writes the verdict for
// the pod's author.
package nri
