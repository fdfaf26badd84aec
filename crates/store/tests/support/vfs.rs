//! A thin SQLite VFS over the system's own: it tells a [`Disk`] what is written, truncated, synced and deleted, and lets calls
//! fail when the disk says so. Reads, locks and shared memory are the system's.

#![expect(unsafe_code, reason = "SQLite's interface for file systems is a table of C functions")]

use super::disk::{Call, Disk};
use rusqlite::ffi;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A file as SQLite holds it; the system's own follows right behind it in memory.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    /// The VFS's, which is never freed.
    disk: *const Disk,
    /// Its name in the folder, owned; null for temporary files, which need not survive anything.
    name: *mut String,
    /// Whether the next sync also confirms the names in the folder, as the system's VFS does for new logs.
    syncs_folder: bool,
}

/// What the VFS needs in its calls.
struct Shared {
    disk: Arc<Disk>,
    system: *mut ffi::sqlite3_vfs,
}

/// Registers a VFS over the disk of a folder and says its name. It is never freed: a test ends soon enough.
pub fn register(folder: &Path, seed: u64) -> (String, Arc<Disk>) {
    static NUMBER: AtomicUsize = AtomicUsize::new(1);
    let name = format!("shim{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let disk = Arc::new(Disk::of_folder(folder, seed));
    // SAFETY: plain calls of SQLite; null asks for the default VFS, which lives as long as the program. What is registered is
    // leaked and so outlives every use.
    unsafe {
        ffi::sqlite3_initialize();
        let system = ffi::sqlite3_vfs_find(std::ptr::null());
        assert!(!system.is_null(), "there is a default VFS");
        let shared = Box::leak(Box::new(Shared { disk: disk.clone(), system }));
        let mut vfs = *system;
        vfs.iVersion = 2;
        vfs.szOsFile += c_int::try_from(size_of::<File>()).expect("fits");
        vfs.pNext = std::ptr::null_mut();
        vfs.zName = CString::new(name.as_str()).expect("a name without NUL").into_raw();
        vfs.pAppData = std::ptr::from_mut(shared).cast();
        vfs.xOpen = Some(open);
        vfs.xDelete = Some(delete);
        vfs.xAccess = Some(access);
        vfs.xFullPathname = Some(full_pathname);
        let code = ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 0);
        assert_eq!(code, ffi::SQLITE_OK, "the VFS can be registered");
    }
    (name, disk)
}

// SAFETY of everything below: SQLite hands back the pointers it was given in `register` and in `open`, files only between a
// successful `open` and `close`, and buffers as long as it says.

unsafe fn shared<'a>(vfs: *mut ffi::sqlite3_vfs) -> &'a Shared {
    unsafe { &*(*vfs).pAppData.cast::<Shared>() }
}

unsafe fn base_name(path: *const c_char) -> String {
    let path = unsafe { CStr::from_ptr(path) }.to_string_lossy();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    unsafe {
        let shared = shared(vfs);
        let file = file.cast::<File>();
        (*file).base.pMethods = std::ptr::null();
        let system_open = (*shared.system).xOpen.expect("a VFS opens files");
        let code = system_open(shared.system, path, system_file(file), flags, out_flags);
        if code != ffi::SQLITE_OK {
            return code;
        }
        (*file).disk = Arc::as_ptr(&shared.disk);
        (*file).name = std::ptr::null_mut();
        (*file).syncs_folder = flags & (ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL) != 0;
        if !path.is_null() && flags & ffi::SQLITE_OPEN_DELETEONCLOSE == 0 {
            let name = base_name(path);
            shared.disk.opened(&name);
            (*file).name = Box::into_raw(Box::new(name));
        }
        (*file).base.pMethods = &METHODS;
        code
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, path: *const c_char, sync_folder: c_int) -> c_int {
    unsafe {
        let shared = shared(vfs);
        let code = (*shared.system).xDelete.expect("a VFS deletes files")(shared.system, path, 0);
        if code == ffi::SQLITE_OK {
            shared.disk.deleted(&base_name(path), sync_folder != 0);
        }
        code
    }
}

unsafe extern "C" fn access(vfs: *mut ffi::sqlite3_vfs, path: *const c_char, flags: c_int, out: *mut c_int) -> c_int {
    unsafe {
        let system = shared(vfs).system;
        (*system).xAccess.expect("a VFS looks for files")(system, path, flags, out)
    }
}

unsafe extern "C" fn full_pathname(
    vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    len: c_int,
    out: *mut c_char,
) -> c_int {
    unsafe {
        let system = shared(vfs).system;
        (*system).xFullPathname.expect("a VFS completes paths")(system, path, len, out)
    }
}

unsafe fn system_file(file: *mut File) -> *mut ffi::sqlite3_file {
    unsafe { file.add(1).cast() }
}

/// The disk and the name of a file that is modelled.
unsafe fn modelled<'a>(file: *mut ffi::sqlite3_file) -> Option<(&'a Disk, &'a str)> {
    unsafe {
        let file = file.cast::<File>();
        let name = (*file).name.as_ref()?;
        Some((&*(*file).disk, name))
    }
}

/// Calls the system's function of the same name.
macro_rules! system {
    ($file:ident, $method:ident $(, $argument:expr)*) => {{
        let system = system_file($file.cast());
        (*(*system).pMethods).$method.expect("the system's files have it")(system $(, $argument)*)
    }};
}

/// Functions that only hand on.
macro_rules! hand_on {
    ($($name:ident = $method:ident ($($argument:ident: $kind:ty),*) $(-> $answer:ty)?;)*) => {$(
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $argument: $kind)*) $(-> $answer)? {
            unsafe { system!(file, $method $(, $argument)*) }
        }
    )*};
}

hand_on! {
    file_size = xFileSize(size: *mut i64) -> c_int;
    lock = xLock(level: c_int) -> c_int;
    unlock = xUnlock(level: c_int) -> c_int;
    check_reserved_lock = xCheckReservedLock(out: *mut c_int) -> c_int;
    file_control = xFileControl(operation: c_int, argument: *mut c_void) -> c_int;
    sector_size = xSectorSize() -> c_int;
    device_characteristics = xDeviceCharacteristics() -> c_int;
    shm_map = xShmMap(page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void) -> c_int;
    shm_lock = xShmLock(offset: c_int, n: c_int, flags: c_int) -> c_int;
    shm_barrier = xShmBarrier();
    shm_unmap = xShmUnmap(delete: c_int) -> c_int;
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    unsafe {
        let code = system!(file, xClose);
        let name = std::mem::replace(&mut (*file.cast::<File>()).name, std::ptr::null_mut());
        if !name.is_null() {
            drop(Box::from_raw(name));
        }
        code
    }
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, out: *mut c_void, len: c_int, at: i64) -> c_int {
    unsafe {
        if let Some((disk, _)) = modelled(file)
            && let Some(code) = disk.refusal(Call::Read)
        {
            return code;
        }
        system!(file, xRead, out, len, at)
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, bytes: *const c_void, len: c_int, at: i64) -> c_int {
    unsafe {
        let Some((disk, name)) = modelled(file) else {
            return system!(file, xWrite, bytes, len, at);
        };
        let refusal = disk.refusal(Call::Write);
        // A write that fails may have done a part of its work.
        let len = if refusal.is_some() { len / 2 } else { len };
        let code = system!(file, xWrite, bytes, len, at);
        let slice = std::slice::from_raw_parts(bytes.cast::<u8>(), usize::try_from(len).expect("a length"));
        disk.wrote(name, usize::try_from(at).expect("an offset"), slice);
        refusal.unwrap_or(code)
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, len: i64) -> c_int {
    unsafe {
        if let Some((disk, name)) = modelled(file) {
            if let Some(code) = disk.refusal(Call::Truncate) {
                return code;
            }
            disk.truncated(name, usize::try_from(len).expect("a length"));
        }
        system!(file, xTruncate, len)
    }
}

/// The model is the disk, so the real one is spared.
unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    unsafe {
        if let Some((disk, name)) = modelled(file) {
            if let Some(code) = disk.refusal(Call::Sync) {
                disk.failed_to_sync(name);
                return code;
            }
            let file = file.cast::<File>();
            disk.synced(name, (*file).syncs_folder);
            (*file).syncs_folder = false;
        }
        ffi::SQLITE_OK
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
