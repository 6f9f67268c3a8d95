// Package origin determines from containerd's stores which image a container runs and under which references it was
// obtained.
//
// A name or a digest that is reported with a container does not prove what runs. containerd finds the image of a
// container through the name that sorts first, and a tenant can move that name between two steps of containerd
// (observed with containerd 2.4.2: the right config digest, an index that lists the signed manifest, and the attacker's
// root filesystem). Two things cannot be forged, and this package relies on nothing else: the parent of the container's
// snapshot, which identifies its layers by their hash, and blobs that were hashed when they were read.
//
//   - [Containerd.Content]: does the snapshot prepared for a container belong to this config digest, or to which?
//   - [Containerd.Image]: which manifests and indexes have this config digest, and under which references were they
//     pulled?
//   - [Containerd.Volume]: which image's files does an image volume contain?
//
// # Memory
//
// While [Containerd.Run] receives containerd's image events, answers about cached images come from memory. The cache
// may lag behind containerd by the delay of an event. An answer therefore reports whether it was compared with
// containerd since the last change that affects it, and [Containerd.Confirm] compares it. When the event stream is
// lost, the cache is not used until the stream is re-established and all images have been listed again.
//
// # Hostile images
//
// Anybody who may create a pod can make the node pull anything. Blobs over 4 MiB and indexes with more than 10,000
// descriptors are not read. Reading one image ends at 10,000 descriptors or 64 MiB in total. A failure is recorded with
// its image and affects no other.
package origin
